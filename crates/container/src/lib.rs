//! Images: references, the engine (build, inspect, save, push), a registry client and server.
