use super::*;

const LIMITS: Limits = Limits { target: 100, fields: 10, field_bytes: 1000 };

/// What was read: `REQUEST LINE|BODY` for each message, or why it was refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    messages: Vec<String>,
    refusal: Option<Refusal>,
    fault: bool,
}

/// Reads bytes that come in pieces of this size.
fn read(bytes: &[u8], piece: usize) -> Read {
    let (mut messages, mut inbox, mut read) = (Messages::new(LIMITS), Inbox::new(), Read::default());
    let mut in_body = false;
    for piece in bytes.chunks(piece) {
        inbox.extend(piece);
        loop {
            if in_body {
                let text = read.messages.last_mut().unwrap();
                match messages.body(&mut inbox) {
                    Ok(Some(Piece::Data(data, last))) => {
                        text.push_str(std::str::from_utf8(&data).unwrap());
                        in_body = !last;
                    }
                    Ok(Some(Piece::Trailers(trailers))) => {
                        *text += &format!("|{trailers:?}");
                        in_body = false;
                    }
                    Ok(Some(Piece::End)) => in_body = false,
                    Ok(None) => break,
                    Err(_) => return Read { fault: true, ..read },
                }
                assert_ne!(in_body, messages.between());
            } else {
                match messages.head(&mut inbox) {
                    Ok(Some(request)) => {
                        read.messages.push(format!("{} {}|", request.method(), request.uri()));
                        in_body = messages.length() != Some(0);
                        messages.next();
                    }
                    Ok(None) => break,
                    Err(refusal) => return Read { refusal: Some(refusal), ..read },
                }
            }
        }
    }
    read
}

const MANY: &str = "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n\
    \r\nPOST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\
    POST /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\nX: \t y \r\n\r\n\r\n\
    POST /4 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n1\r\n!\r\n0\r\n\r\n\
    GET /5 HTTP/1.1\r\nhost: a\r\n\r\n";

const MANY_READ: [&str; 5] =
    ["GET /1|", "POST /2|hello", "POST /3|GET /|{\"x\": \"y\"}", "POST /4|hi!", "GET /5|"];

#[test]
fn messages_are_the_same_in_any_pieces() {
    for piece in 1..=MANY.len() {
        let read = read(MANY.as_bytes(), piece);
        assert_eq!((read.messages, read.refusal), (MANY_READ.map(str::to_owned).to_vec(), None), "{piece}");
    }
}

#[test]
fn after_a_refused_head_nothing_is_read() {
    let bytes = format!("{MANY}GET /5 HTTP/1.1\r\nhost : a\r\n\r\nGET /6 HTTP/1.1\r\nhost: a\r\n\r\n");
    for piece in 1..=bytes.len() {
        let read = read(bytes.as_bytes(), piece);
        assert_eq!(read.messages.len(), 5, "{piece}");
        assert!(matches!(read.refusal, Some(Refusal::Malformed(_))));
    }
}

#[test]
fn after_a_broken_body_nothing_is_read() {
    let good = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let bytes = format!("{good}5;\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n");
    for piece in 1..=bytes.len() {
        assert_eq!(
            read(bytes.as_bytes(), piece),
            Read { messages: vec!["POST /|hello".to_owned()], refusal: None, fault: true }
        );
    }
}

#[test]
fn what_has_come_of_a_body_can_be_checked_before_it_is_read() {
    for (body, good) in [
        ("", true),
        ("5\r\nhel", true),
        ("5\r\nhello\r\n0\r\n\r\nGET", true),
        ("5\r\nhelloX", false),
        ("x", false),
    ] {
        let mut inbox = Inbox::new();
        inbox.extend(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
        inbox.extend(body.as_bytes());
        let mut messages = Messages::new(LIMITS);
        assert!(messages.head(&mut inbox).unwrap().is_some());
        assert_eq!(messages.check(inbox.as_slice()).is_ok(), good, "{body:?}");
        assert_eq!(inbox.as_slice(), body.as_bytes());
    }
}

#[test]
fn one_empty_line_may_come_before_a_head_and_is_no_part_of_it() {
    let head = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for piece in [1, 2, 3, 100] {
        assert_eq!(read(format!("\r\n{head}\r\n{head}").as_bytes(), piece).messages.len(), 2);
        assert!(read(format!("\r\n\r\n{head}").as_bytes(), piece).refusal.is_some());
    }
}
