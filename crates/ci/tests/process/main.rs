//! The built binary as the runner starts it.

#[cfg(test)]
mod actions_cache;
#[cfg(test)]
mod any_image;
#[cfg(test)]
mod bad_input;
mod build_secrets;
#[cfg(test)]
mod builder;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod coverage_baseline;
#[cfg(test)]
mod endless;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod linters;
#[cfg(test)]
mod network;
#[cfg(test)]
mod push;
#[cfg(test)]
mod real;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod test_image;
