//! The copacetic-patch action: a patch proven before it is promoted.
