//! The services that the demo plays, one line each, and what they answer: small, plausible, and always
//! the same for the same question.
//!
//! Stations are numbered from 1; train `ER134` is the fourth of the day from station 1 to station 3.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::latency::Behaviour;

/// One mock service.
pub(super) struct Mock {
    pub(super) name: &'static str,
    /// The variable that the sample's templates take its URL from.
    pub(super) variable: &'static str,
    pub(super) behaviour: Behaviour,
    pub(super) answer: fn(&Question<'_>) -> Reply,
}

/// A request as the mocks see it.
pub(super) struct Question<'a> {
    pub(super) method: &'a Method,
    /// Segments of the path.
    pub(super) path: Vec<&'a str>,
    pub(super) query: &'a str,
    /// The JSON that was sent, or null.
    pub(super) body: Value,
}

pub(super) type Reply = (StatusCode, Value);

const fn takes(from: u64, to: u64) -> Behaviour {
    Behaviour { from, to, fails_one_in: 0 }
}

/// Every mock: the weather supplier is slow, the notices are flaky.
pub(super) const MOCKS: &[Mock] = &[
    Mock { name: "timetable", variable: "TIMETABLE_URL", behaviour: takes(30, 60), answer: timetable },
    Mock { name: "running", variable: "RUNNING_URL", behaviour: takes(15, 30), answer: running },
    Mock {
        name: "notices",
        variable: "NOTICES_URL",
        behaviour: Behaviour { from: 20, to: 50, fails_one_in: 4 },
        answer: notices,
    },
    Mock { name: "weather", variable: "WEATHER_URL", behaviour: takes(300, 450), answer: weather },
    Mock { name: "seats", variable: "SEATS_URL", behaviour: takes(35, 45), answer: seats },
    Mock { name: "prices", variable: "PRICES_URL", behaviour: takes(50, 70), answer: prices },
    Mock { name: "kitchen", variable: "KITCHEN_URL", behaviour: takes(20, 40), answer: kitchen },
];

const STATIONS: [&str; 4] = ["avonford", "brightwater", "castlebay", "dunmere"];
const TRAINS_A_DAY: u32 = 5;

/// A train's stations, by index, and its number in the day from 1.
#[derive(Clone, Copy)]
struct Train {
    from: u32,
    to: u32,
    number: u32,
}

impl Train {
    fn parse(id: &str) -> Option<Self> {
        let mut digits = id.strip_prefix("ER")?.chars().map(|digit| digit.to_digit(10));
        let (from, to, number) = (digits.next()??, digits.next()??, digits.next()??);
        let known = |station: u32| (1..=STATIONS.len() as u32).contains(&station);
        let good = known(from) && known(to) && from != to && (1..=TRAINS_A_DAY).contains(&number);
        (good && digits.next().is_none()).then_some(Self { from, to, number })
    }

    fn id(self) -> String {
        format!("ER{}{}{}", self.from, self.to, self.number)
    }

    fn distance(self) -> u32 {
        self.from.abs_diff(self.to)
    }

    /// Minutes since midnight at which it leaves.
    fn leaves(self) -> u32 {
        6 * 60 + 12 + (self.number - 1) * 155 + self.from * 4
    }

    fn json(self) -> Value {
        let mut train = json!({
            "id": self.id(),
            "departs": clock(self.leaves()),
            "arrives": clock(self.leaves() + self.distance() * 47),
            "from": STATIONS[self.from as usize - 1],
            "to": STATIONS[self.to as usize - 1],
        });
        // The first and the last train of the day have no kitchen.
        if (2..TRAINS_A_DAY).contains(&self.number) {
            train["catering"] = json!(if self.distance() > 1 { "restaurant" } else { "trolley" });
        }
        train
    }

    fn price(self) -> f64 {
        14.5 + f64::from(self.distance()) * 12.0 + f64::from(self.number % 3) * 2.5
    }
}

fn clock(minutes: u32) -> String {
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

fn found(value: Option<Value>) -> Reply {
    value.map_or((StatusCode::NOT_FOUND, json!({"error": "unknown"})), |value| (StatusCode::OK, value))
}

impl Question<'_> {
    fn station(&self, name: &str) -> Option<u32> {
        let value = self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        STATIONS.iter().position(|station| *station == value).map(|index| index as u32 + 1)
    }

    fn train(&self) -> Option<Train> {
        self.path.get(1).and_then(|id| Train::parse(id))
    }
}

fn timetable(question: &Question<'_>) -> Reply {
    if question.path.len() > 1 {
        return found(question.train().map(Train::json));
    }
    let trains: Vec<Value> = match (question.station("from"), question.station("to")) {
        (Some(from), Some(to)) if from != to => {
            (1..=TRAINS_A_DAY).map(|number| Train { from, to, number }.json()).collect()
        }
        _ => Vec::new(),
    };
    (StatusCode::OK, json!({ "trains": trains }))
}

fn seats(question: &Question<'_>) -> Reply {
    let Some(train) = question.train() else { return found(None) };
    let free = 7 + train.number * 37 % 90;
    if question.method != Method::POST {
        return (StatusCode::OK, json!({"train": train.id(), "free": free}));
    }
    let wanted = question.body["passengers"].as_u64().unwrap_or(1);
    if wanted > 6 {
        return (StatusCode::CONFLICT, json!({"error": "sold out"}));
    }
    let places: Vec<String> = (0..wanted).map(|seat| format!("C{}", 40 + seat)).collect();
    let hold = json!({
        "id": format!("h-{}-{wanted}", train.id()),
        "passengers": wanted,
        "seats": places,
        "expires": "15 minutes",
    });
    (StatusCode::CREATED, hold)
}

fn prices(question: &Question<'_>) -> Reply {
    found(question.train().map(|train| json!({"amount": train.price(), "currency": "EUR"})))
}

fn running(question: &Question<'_>) -> Reply {
    let here = question.path.get(1).and_then(|name| STATIONS.iter().position(|station| station == name));
    found(here.map(|here| {
        let from = here as u32 + 1;
        let to = if from == 1 { 2 } else { from - 1 };
        let departures: Vec<Value> = (1..=3)
            .map(|number| {
                let train = Train { from, to, number };
                let late = number * 7 % 5;
                let platform = 1 + number % 3;
                json!({"train": train.id(), "departs": clock(train.leaves()), "platform": platform, "late": late})
            })
            .collect();
        json!({"station": STATIONS[here], "departures": departures})
    }))
}

fn notices(_: &Question<'_>) -> Reply {
    let text = "Lift out of service at Castlebay Harbour until Friday.";
    (StatusCode::OK, json!({"notices": [{"id": "n-18", "text": text}]}))
}

fn weather(question: &Question<'_>) -> Reply {
    const SUMMARIES: [&str; 4] =
        ["Sunny, 9 degrees", "Light rain, 7 degrees", "Windy, 6 degrees", "Fog, 3 degrees"];
    let place = question.path.get(1).and_then(|name| STATIONS.iter().position(|station| station == name));
    found(place.map(|place| json!({"place": STATIONS[place], "summary": SUMMARIES[place]})))
}

fn kitchen(question: &Question<'_>) -> Reply {
    let dishes =
        [("soup", "Soup of the day", 6.5), ("pie", "Mushroom pie", 11.0), ("cake", "Carrot cake", 4.5)];
    match question.path.first() {
        Some(&"menus") => {
            let shown = if question.path.get(1) == Some(&"restaurant") { dishes.len() } else { 1 };
            let menu = dishes[..shown].iter();
            let menu: Vec<Value> =
                menu.map(|(id, name, price)| json!({"id": id, "name": name, "price": price})).collect();
            (StatusCode::OK, json!({ "dishes": menu }))
        }
        _ => found(question.train().map(|train| {
            let left = |dish: u32| (train.number * 5 + dish * 3) % 11;
            json!({"dishes": {"soup": left(0), "pie": left(1), "cake": left(2)}})
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(answer: fn(&Question<'_>) -> Reply, path: &str, query: &str) -> Reply {
        let path = path.trim_start_matches('/').split('/').collect();
        answer(&Question { method: &Method::GET, path, query, body: Value::Null })
    }

    #[test]
    fn every_train_of_the_timetable_has_seats_and_a_price() {
        let (_, found) = ask(timetable, "/trains", "from=avonford&to=castlebay&date=2026-12-01");
        let trains = found["trains"].as_array().unwrap();
        assert_eq!(trains.len(), 5);
        for train in trains {
            let id = train["id"].as_str().unwrap();
            assert_eq!(&ask(timetable, &format!("/trains/{id}"), "").1, train);
            assert_eq!(ask(seats, &format!("/trains/{id}/seats"), "").0, StatusCode::OK);
            assert!(ask(prices, &format!("/trains/{id}/price"), "").1["amount"].as_f64().unwrap() > 0.0);
        }
    }

    #[test]
    fn an_unknown_train_is_not_found() {
        for id in ["ER991", "ER110", "ER139", "ER1344", "XX134", "ER"] {
            assert_eq!(ask(timetable, &format!("/trains/{id}"), "").0, StatusCode::NOT_FOUND, "{id}");
        }
    }
}
