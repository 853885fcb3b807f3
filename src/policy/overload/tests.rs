use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::*;
use crate::policy::testing::{exchange, request};

const ALL: [Priority; 4] = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];

fn overload() -> Arc<Overload> {
    Arc::new(Overload::new(Arc::default(), Shed::default()))
}

/// What came of a request, whose answer never comes if it is admitted.
struct Sent(Pin<Box<dyn Future<Output = Result<Response<Body>, Error>>>>);

impl Sent {
    fn error(&mut self) -> Option<Error> {
        match self.0.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(answer) => answer.err(),
            Poll::Pending => None,
        }
    }
}

fn send(layer: &OverloadLayer) -> Sent {
    let endpoint = service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Error>>());
    let mut sent = ServiceBuilder::new().layer(layer).service(endpoint).boxed();
    Sent(Box::pin(sent.call(request("GET /", exchange()))))
}

/// Lets a worker be late for a whole window.
fn late(overload: &Overload, ms: u64) {
    for _ in 0..4 {
        overload.late(Duration::from_millis(ms));
    }
}

#[test]
fn an_overloaded_worker_sheds_what_is_past_its_limit_the_lowest_priority_first() {
    let overload = overload();
    let layers = ALL.map(|priority| OverloadLayer::new(&overload, true, priority));
    let mut held: Vec<Sent> = (0..200).map(|_| send(&layers[1])).collect();
    assert!(held.iter_mut().all(|sent| sent.error().is_none()));
    late(&overload, 100);
    // The limit is 100 now, and 200 are under way: nobody may come any more.
    for layer in &layers {
        let error = send(layer).error().unwrap();
        assert_eq!((error.kind(), error.retry_after_seconds()), (Kind::Overloaded, Some(1)));
    }
    for (left, admitted) in [
        (99, [false, false, false, true]),
        (90, [false, false, true, true]),
        (60, [false, true, true, true]),
        (10, [true; 4]),
    ] {
        held.truncate(left);
        let got = [0, 1, 2, 3].map(|index| send(&layers[index]).error().is_none());
        assert_eq!(got, admitted, "{left} under way");
    }
    // Whoever was admitted had its place taken back when it left.
    assert_eq!(overload.under_way(), 10);
    late(&overload, 0);
    assert!(send(&layers[0]).error().is_none());
}

/// Requests that are answered as soon as they are read: none is ever under way when another comes.
#[test]
fn where_few_are_under_way_and_the_worker_is_late_a_share_is_shed_the_lowest_priority_first() {
    let overload = overload();
    let layers = ALL.map(|priority| OverloadLayer::new(&overload, true, priority));
    let shed = |index: usize| (0..100).filter(|_| send(&layers[index]).error().is_some()).count();
    late(&overload, 200);
    let first = shed(0);
    assert!(first > 0 && first < 100, "{first} of a hundred");
    assert_eq!([1, 2, 3].map(shed), [0; 3]);
    late(&overload, 1000);
    late(&overload, 1000);
    assert_eq!(shed(0), 100);
    assert!(shed(1) > 0 && shed(3) == 0);
    (0..20).for_each(|_| late(&overload, 1000));
    assert!(shed(3) < 100, "a few of the highest are let in");
    (0..20).for_each(|_| late(&overload, 1));
    assert_eq!([0, 1, 2, 3].map(shed), [0; 4]);
}

#[test]
fn a_place_is_given_back_with_the_answers_head() {
    let overload = overload();
    let layer = OverloadLayer::new(&overload, true, Priority::Normal);
    let endpoint = service_fn(|_: Request<Body>| async { Ok::<_, Error>(Response::new(Body::empty())) });
    let mut service = ServiceBuilder::new().layer(&layer).service(endpoint);
    let mut future = Box::pin(service.call(request("GET /", exchange())));
    assert_eq!(overload.under_way(), 1);
    let answer = future.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop()));
    assert!(answer.is_ready());
    assert_eq!(overload.under_way(), 0);
}

#[test]
fn where_memory_is_short_the_lowest_priority_is_shed_first() {
    let overload = overload();
    let layers = ALL.map(|priority| OverloadLayer::new(&overload, false, priority));
    for (used, admitted) in [
        (849, [true; 4]),
        (850, [false, true, true, true]),
        (875, [false, false, true, true]),
        (900, [false, false, false, true]),
        (950, [false; 4]),
        (10, [true; 4]),
    ] {
        overload.memory.note(used, Some(1000));
        let got = [0, 1, 2, 3].map(|index| send(&layers[index]).error().is_none());
        assert_eq!(got, admitted, "{used}");
    }
}

#[test]
fn what_is_not_adaptive_is_not_counted() {
    let overload = overload();
    let layer = OverloadLayer::new(&overload, false, Priority::Low);
    let _held: Vec<Sent> = (0..100).map(|_| send(&layer)).collect();
    assert_eq!(overload.under_way(), 0);
}
