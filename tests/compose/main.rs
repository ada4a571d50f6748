//! What `docker compose up` would start, without it: docker-compose.yml, deploy/compose.podman.yml, Dockerfile and
//! broker/mosquitto.conf name only what is there, agree with each other, and work with the real agent and Mosquitto.

#[path = "../common/device.rs"]
#[allow(dead_code, reason = "the agent's tests use all of it")]
mod device;
mod files;
mod image;
#[path = "../common/processes.rs"]
mod processes;
mod real;
mod services;
