//! Offers that are posted go to the intake of publishers.

use hyper::StatusCode;
use millstream_core::env::BoxFuture;
use millstream_server::http::hyper;

use crate::http::{Opens, Rejected, Visitor};
use crate::offer::Offer;
use crate::receive::{Intake, NotTaken};

/// Seconds after which a publisher that was refused may try again.
const RETRY_TAKEN: u32 = 5;

impl Opens for Intake {
    fn open(&self, offer: &Offer, visitor: Visitor) -> Result<String, Rejected> {
        self.take(offer, Box::new(visitor.place), visitor.admitted).map_err(Rejected::from)
    }

    fn ready(&self) -> Option<BoxFuture<'static, ()>> {
        self.reach().ready()
    }
}

impl From<NotTaken> for Rejected {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::Refused(refused) => refused.into(),
            NotTaken::HasPublisher => {
                Self::new(StatusCode::CONFLICT, "The stream has a publisher.").retry_after(RETRY_TAKEN)
            }
            NotTaken::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "The stream is not taken in now.").retry_after(1)
            }
        }
    }
}
