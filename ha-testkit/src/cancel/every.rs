use std::pin::Pin;
use std::task::{Context, Poll};

/// An operation that has waited that often and not come to its end does not come to it.
pub const POINTS_MAX: usize = 2000;

/// How an operation that was to be dropped came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut<T> {
    /// It was dropped where it waited.
    Dropped,
    /// It came to its end before.
    Done(T),
}

impl<T> Cut<T> {
    /// What it answered, if it did.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Dropped => None,
            Self::Done(output) => Some(output),
        }
    }

    /// Whether it was dropped.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        matches!(self, Self::Dropped)
    }
}

/// Runs the future and drops it at its await point of that number: 0 is before it is polled at all, 1 where it waits for
/// the first time. It is dropped in the very poll in which it began to wait, so whatever it waits for has not come.
pub async fn cut_at<F: Future>(point: usize, future: F) -> Cut<F::Output> {
    CutAt { future: Some(Box::pin(future)), left: point }.await
}

struct CutAt<F> {
    future: Option<Pin<Box<F>>>,
    left: usize,
}

impl<F: Future> Future for CutAt<F> {
    type Output = Cut<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.left > 0 {
            let Some(future) = self.future.as_mut() else { return Poll::Ready(Cut::Dropped) };
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                self.future = None;
                return Poll::Ready(Cut::Done(output));
            }
            self.left -= 1;
        }
        match self.left {
            0 => {
                self.future = None;
                Poll::Ready(Cut::Dropped)
            }
            _ => Poll::Pending,
        }
    }
}

/// Runs the operation in a world of its own for each of its await points and drops it there, until it is not dropped any
/// more but comes to its end. `inspect` is given each world, how the operation came out, and the point. Answers how many
/// points there were: a test that expects some says so, for an operation without any proves nothing.
///
/// # Panics
/// If the operation does not end within [`POINTS_MAX`] points, and as the operation and `inspect` do; the point at which
/// it was is then printed.
pub async fn at_every_await_point<W, T>(
    mut make_world: impl AsyncFnMut() -> W,
    operation: impl AsyncFn(&W) -> T,
    mut inspect: impl AsyncFnMut(W, Cut<T>, usize),
) -> usize {
    for point in 0..=POINTS_MAX {
        let _point = PrintedOnPanic(point);
        let world = make_world().await;
        let cut = cut_at(point, operation(&world)).await;
        let done = !cut.is_dropped();
        inspect(world, cut, point).await;
        if done {
            // It ended without waiting for another time.
            return point.saturating_sub(1);
        }
    }
    panic!("the operation waited more than {POINTS_MAX} times");
}

struct PrintedOnPanic(usize);

impl Drop for PrintedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the operation was dropped at its await point {}", self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    async fn yields(times: usize, seen: &RefCell<usize>) {
        for _ in 0..times {
            *seen.borrow_mut() += 1;
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_operation_is_dropped_once_at_each_of_its_points_and_then_done() {
        let all = Rc::new(RefCell::new(Vec::new()));
        let points = at_every_await_point(
            async || RefCell::new(0),
            async |world: &RefCell<usize>| yields(4, world).await,
            async |world: RefCell<usize>, cut: Cut<()>, point| {
                all.borrow_mut().push((point, world.into_inner(), cut.is_dropped()));
            },
        );
        assert_eq!(points.await, 4);
        let expected: Vec<_> = (0..=4).map(|point| (point, point, true)).chain([(5, 4, false)]).collect();
        assert_eq!(*all.borrow(), expected);
    }

    #[tokio::test]
    async fn what_never_waits_has_no_point_but_the_one_before_it_begins() {
        let points = at_every_await_point(async || (), async |(): &()| 7, async |(), _: Cut<i32>, _| {});
        assert_eq!(points.await, 0);
        assert_eq!(cut_at(0, async { 7 }).await, Cut::Dropped);
        assert_eq!(cut_at(1, async { 7 }).await.done(), Some(7));
    }

    #[tokio::test]
    #[should_panic(expected = "waited more than")]
    async fn what_never_ends_is_told() {
        let forever = async |(): &()| loop {
            tokio::task::yield_now().await;
        };
        at_every_await_point(async || (), forever, async |(), _: Cut<()>, _| {}).await;
    }
}
