use super::*;

/// Every table below this one, once.
fn tables(table: &'static Object, found: &mut Vec<&'static Object>) {
    if found.iter().any(|known| std::ptr::eq(*known, table)) {
        return;
    }
    found.push(table);
    for key in table.keys {
        let mut shape = key.shape;
        while let Shape::List(entry) | Shape::Map(entry) = shape {
            shape = *entry;
        }
        if let Shape::Object(inner) | Shape::Either(inner) = shape {
            tables(inner, found);
        }
    }
}

#[test]
fn the_schema_offers_exactly_the_keys_that_work() {
    let mut all = Vec::new();
    for (_, table) in TABLES {
        tables(table, &mut all);
    }
    assert!(all.len() > 20);
    for table in all {
        let schema = object(table);
        let offered: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let works = table.keys.iter().filter(|key| key.need != Need::Later).map(|key| key.name);
        assert_eq!(offered, works.collect::<Vec<_>>(), "{}", table.name);
    }
}

#[test]
fn every_kind_has_a_definition_and_a_choice() {
    let schema = schema();
    for (kind, _) in TABLES {
        assert_eq!(schema["$defs"][kind]["properties"]["kind"]["const"], kind);
    }
    assert_eq!(schema["allOf"].as_array().unwrap().len(), TABLES.len());
    assert_eq!(schema["$defs"]["Route"]["properties"]["respond"]["type"], "object");
    assert_eq!(schema["$defs"]["Route"]["properties"]["policies"]["type"], "array");
}

#[test]
fn no_table_has_a_key_twice() {
    let mut all = Vec::new();
    for (_, table) in TABLES {
        tables(table, &mut all);
    }
    for table in all {
        let mut names: Vec<_> = table.keys.iter().map(|key| key.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}", table.name);
    }
}
