//! What is promised about times: schedules, growing retries, the lock, and what of them survives a restart. The real
//! reconciler, with both clocks in the test's hands and an executor that does at once what it is told.

#[path = "../common/gates.rs"]
mod gates;
#[path = "../common/models.rs"]
mod models;

mod clock;
mod cron;
mod device;
mod lock;
mod restart;
mod retry;
mod run_now;
