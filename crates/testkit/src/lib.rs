//! Stand-ins on the wire for tests and for the local pipeline: GitHub, Azure, a runner.
