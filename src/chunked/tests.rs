use super::*;

const LIMITS: Limits = Limits { fields: 2, field_bytes: 40 };

/// How many bytes are the body's, `None` if it is not whole.
fn read(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let mut body = Chunked::default();
    let whole = body.read(bytes, &LIMITS).map(|len| body.is_whole().then_some(len));
    let mut body = Chunked::default();
    let mut pieces = Ok(None);
    for (at, byte) in bytes.iter().enumerate() {
        match body.read(&[*byte], &LIMITS) {
            Ok(_) if body.is_whole() => {
                pieces = Ok(Some(at + 1));
                break;
            }
            Ok(_) => {}
            Err(fault) => {
                pieces = Err(fault);
                break;
            }
        }
    }
    assert_eq!(pieces, whole, "{:?}", String::from_utf8_lossy(bytes));
    whole
}

#[test]
fn good_bodies_end_where_they_end() {
    for body in [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "005\r\nhello\r\n000\r\n\r\n",
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "5;a\r\nhello\r\n0;b=c;d=\"e\\\"f\"\r\n\r\n",
        "5 ; a = b ; c\r\nhello\r\n0\r\n\r\n",
        "0\r\nx-sum: 7\r\ny:\r\n\r\n",
    ] {
        assert_eq!(read(body.as_bytes()), Ok(Some(body.len())), "{body:?}");
        assert_eq!(read(format!("{body}GET /").as_bytes()), Ok(Some(body.len())), "{body:?}");
        assert_eq!(read(&body.as_bytes()[..body.len() - 1]), Ok(None), "{body:?}");
    }
}

#[test]
fn what_servers_read_differently_is_refused() {
    for body in [
        "\r\n",
        "g\r\n",
        "0x5\r\n",
        "+5\r\n",
        "-1\r\n",
        " 5\r\n",
        "5 \r\n",
        "5\t\r\n",
        "1_0\r\n",
        "5\nhello",
        "5\rhello",
        "5;\r\n",
        "5;;a\r\n",
        "5;a=\r\n",
        "5;a[=b\r\n",
        "5;a=\"b\r\n",
        "5;a=\"b\"c\r\n",
        "5;a\nhello",
        "5;a\rb\r\n",
        "5;\0\r\n",
        "5;a \r\n",
        "5 a\r\n",
        "5;a=\"\\\n\"\r\n",
        "5,a\r\n",
        "10000000000000000\r\n",
        "FFFFFFFFFFFFFFFF\r\n",
        "00000000000000005\r\n",
        "5\r\nhello!\r\n",
        "5\r\nhello0\r\n",
        "5\r\nhello\n",
        "5\r\nhello\r0",
        "5\r\nhel\r\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n\r ",
        "0\r\n x: y\r\n",
        "0\r\nx : y\r\n",
        "0\r\n: y\r\n",
        "0\r\nx\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\nx: y\r\n z\r\n",
        "0\r\nx: \0\r\n",
        "0\r\nx: a\rb\r\n",
    ] {
        assert!(read(body.as_bytes()).is_err(), "{body:?}");
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let extension = |len: usize| format!("0;{}\r\n\r\n", "a".repeat(len - 1));
    assert!(read(extension(EXTENSIONS).as_bytes()).is_ok());
    assert!(read(extension(EXTENSIONS + 1).as_bytes()).is_err());
    let spread = "1;abc\r\nx\r\n".repeat(2000);
    assert!(read(spread.as_bytes()).is_err());
    let trailer = |len: usize| format!("0\r\nx:{}\r\n\r\n", "a".repeat(len - 5));
    assert!(read(trailer(40).as_bytes()).is_ok());
    assert!(read(trailer(41).as_bytes()).is_err());
    assert!(read(b"0\r\na:\r\nb:\r\n\r\n").is_ok());
    assert!(read(b"0\r\na:\r\nb:\r\nc:\r\n\r\n").is_err());
}
