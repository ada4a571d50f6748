mod files;
mod power;
mod salvage;
mod store;
