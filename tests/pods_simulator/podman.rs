//! The simulated podman service: carries out requests, late, twice wrong, or not at all. What it was asked goes on when
//! nobody waits for it any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flotta_agent::executor::podman::transport::{Answer, Later, Pieces, Request, Transport};
use serde_json::{Value as Json, json};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use crate::answers::{filters, inspect, list, logs, pods, volumes};
use crate::faults::Fault;
use crate::in_flight::InFlight;
use crate::machine::{Life, Machine};
use crate::things::{Container, Reply, State, empty, fail, reply};

/// What becomes of what is sent to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Up,
    /// Nobody listens.
    Gone,
    /// It takes requests and does nothing until it wakes.
    Stuck,
}

#[derive(Clone)]
pub struct Podman {
    machine: Arc<Mutex<Machine>>,
    service: Arc<Mutex<Service>>,
    /// Wakes what is stuck. (No watch channel: it wakes in an order of its own dice.)
    woken: Arc<Notify>,
    handlers: Arc<Mutex<JoinSet<()>>>,
}

enum Answered {
    Whole(Reply),
    Streamed(Box<dyn Pieces>),
}

type To = oneshot::Sender<Result<Answer, String>>;

impl Podman {
    pub fn new(machine: Machine) -> Podman {
        Podman {
            machine: Arc::new(Mutex::new(machine)),
            service: Arc::new(Mutex::new(Service::Up)),
            woken: Arc::default(),
            handlers: Arc::default(),
        }
    }

    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handlers(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_service(&self, service: Service) {
        self.machine().note(&format!("podman is {service:?}"));
        if service == Service::Gone {
            // What it was doing is cut off; the containers go on.
            self.handlers().abort_all();
            let mut machine = self.machine();
            let orderly = machine.dice.one_in(2);
            machine.events.cut(orderly);
        }
        *self.service.lock().unwrap_or_else(PoisonError::into_inner) = service;
        self.woken.notify_waiters();
    }

    fn service(&self) -> Service {
        *self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows from a change: ends and events, each at its time.
    pub fn follow(&self) {
        let (lives, due) = {
            let mut machine = self.machine();
            (std::mem::take(&mut machine.lives), std::mem::take(&mut machine.events.due))
        };
        for Life { container, run, after, code, natural } in lives {
            let podman = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                let mut machine = podman.machine();
                let serves = machine.containers.get(&container).is_some_and(|one| one.script == "serve");
                if !(natural && serves && !machine.faulty) {
                    machine.die(&container, run, code);
                }
                drop(machine);
                podman.follow();
            });
        }
        for (stream, after, line) in due {
            let podman = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                podman.machine().events.deliver(stream, line);
            });
        }
    }

    async fn handle(self, request: Request, number: u64, to: To) {
        let stuck = self.service() == Service::Stuck;
        while self.service() == Service::Stuck {
            self.woken.notified().await;
        }
        if stuck && self.machine().dice.one_in(2) {
            return;
        }
        let (fault, before, after) = {
            let mut machine = self.machine();
            let rates = if machine.faulty { machine.rates } else { crate::faults::Rates::default() };
            let (drawn, slow) = Fault::draw(&rates, &mut machine.dice);
            let once = machine.planned_once.filter(|(call, _)| brief(&request).replace('/', " ").starts_with(call));
            if once.is_some() {
                machine.planned_once = None;
            }
            let always = machine.planned_always.filter(|(part, _)| brief(&request).contains(part));
            let planned = machine.planned.get(&number).copied().or(always.map(|(_, fault)| fault));
            let fault = planned.or(once.map(|(_, fault)| fault)).unwrap_or(drawn);
            machine.faults += u64::from(fault != Fault::None);
            if machine.dice.one_in(2) { (fault, slow, Duration::ZERO) } else { (fault, Duration::ZERO, slow) }
        };
        tokio::time::sleep(before).await;
        let answered = if fault.does() { Some(self.carry_out(&request, &to).await) } else { None };
        let said = match &answered {
            Some(Answered::Whole(reply)) if reply.status < 400 => reply.status.to_string(),
            Some(Answered::Whole(reply)) => format!("{} {}", reply.status, shown(&reply.body)),
            Some(Answered::Streamed(_)) => "a stream".to_owned(),
            None => String::new(),
        };
        let late = if to.is_closed() { " (nobody waits)" } else { "" };
        self.machine().note(&format!("  {} {fault:?} {said}{late}", brief(&request)));
        self.follow();
        tokio::time::sleep(after).await;
        let answer = match (fault, answered) {
            (Fault::Hang { .. }, _) => {
                while self.machine().faulty {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
                return;
            }
            // Lost within the answer, or before it.
            (Fault::Lost { .. }, Some(Answered::Whole(reply))) if !reply.body.is_empty() && reply.status < 300 => {
                let mut body = reply.body;
                body.truncate(body.len() / 2);
                Ok(Answer { status: reply.status, body: Box::new(Whole(vec![Err(()), Ok(Bytes::from(body))])) })
            }
            (Fault::Lost { .. }, _) => Err("connection reset by peer".to_owned()),
            (Fault::None, Some(Answered::Streamed(body))) => Ok(Answer { status: 200, body }),
            (Fault::None, Some(Answered::Whole(reply))) => Ok(whole(reply)),
            (Fault::Error { .. } | Fault::None, _) => {
                Ok(whole(fail(500, "database is locked: a fault of the simulation")))
            }
        };
        let _ = to.send(answer);
    }

    async fn carry_out(&self, request: &Request, to: &To) -> Answered {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let body = request.body.as_ref().unwrap_or(&Json::Null);
        let late = to.is_closed();
        let mut machine = self.machine();
        let reply = match (request.method, path.as_slice()) {
            ("GET", ["info"]) => {
                reply(200, &json!({ "host": { "cgroupControllers": machine.controllers, "cgroupVersion": "v2" } }))
            }
            ("GET", ["containers", "json"]) => list(&machine, &filters(request)),
            ("GET", ["containers", id, "json"]) => inspect(&machine, id),
            ("GET", ["containers", id, "logs"]) => logs(&machine, id),
            ("GET", ["pods", "json"]) => pods(&machine, &filters(request)),
            ("GET", ["pods", id, "json"]) => {
                let infra = machine.containers.values().find(|one| one.infra && one.pod == *id);
                infra.map_or_else(|| fail(404, "no such pod"), |one| reply(200, &json!({ "InfraContainerID": one.id })))
            }
            ("POST", ["pods", id, "kill"]) => kill_pod(&mut machine, id, late),
            ("GET", ["volumes", name, "json"]) => match machine.volume(name) {
                Json::Null => fail(404, "no such volume"),
                volume => reply(200, &volume),
            },
            ("GET", ["volumes", "json"]) => volumes(&machine, &filters(request)),
            ("GET", ["images", name, "exists"]) => empty(if machine.images.contains(*name) { 204 } else { 404 }),
            ("GET", ["images", name, "json"]) => match machine.images.contains(*name) {
                true => reply(200, &json!({ "Config": { "User": "1000:1000" } })),
                false => fail(404, "no such image"),
            },
            ("GET", ["events"]) => {
                let since = request.query.iter().find(|(key, _)| *key == "since").and_then(|(_, at)| at.parse().ok());
                let rate = machine.rates.event;
                let deaf = machine.fault(rate * 4);
                let label = filters(request).into_iter().next().unwrap_or_default();
                return Answered::Streamed(Box::new(machine.events.open(label, since, deaf)));
            }
            ("POST", ["pods", "create"]) => machine.create_pod(body),
            ("POST", ["containers", "create"]) => machine.create_container(body, late),
            // Known: one that lands after the next agent has looked for leftovers stays until the one after that.
            ("POST", ["volumes", "create"]) if late => fail(500, "context canceled"),
            ("POST", ["volumes", "create"]) => machine.create_volume(body),
            ("DELETE", ["containers", name]) => {
                if machine.containers.contains_key(*name) {
                    machine.violated(format!("container {name} is removed without its pod"));
                }
                fail(404, "no such container")
            }
            ("DELETE", ["volumes", name]) => machine.remove_volume(name),
            ("GET", ["secrets", "json"]) => {
                let shown = |name: &String| json!({ "ID": "s", "Spec": { "Name": name } });
                reply(200, &Json::Array(machine.secrets.keys().map(shown).collect()))
            }
            ("POST", ["secrets", "create"]) if late => fail(500, "context canceled"),
            ("POST", ["secrets", "create"]) => machine.create_secret(request),
            ("DELETE", ["secrets", name]) => machine.remove_secret(name),
            ("POST", ["containers", id, "start"]) => machine.start(id, late),
            ("POST", ["containers", id, "update"]) => machine.update(id, body, late),
            ("POST", ["containers", id, "kill"]) => kill(&mut machine, id, late),
            ("POST", ["containers", id, "stop"]) => {
                drop(machine);
                self.stop(id, late).await
            }
            ("DELETE", ["pods", id]) => {
                drop(machine);
                self.remove_pod(id, late).await
            }
            ("POST", ["images", "pull"]) => {
                drop(machine);
                self.pull(request).await
            }
            _ => {
                machine.violated(format!("a call that podman does not have: {request:?}"));
                fail(404, "page not found")
            }
        };
        Answered::Whole(reply)
    }

    async fn stop(&self, id: &str, late: bool) -> Reply {
        let term = {
            let mut machine = self.machine();
            let Some(found) = machine.containers.get(id).cloned() else { return fail(404, "no such container") };
            machine.touch(&found.labels, &format!("{} was stopped", found.name), late);
            match found.state {
                State::Exited => return empty(304),
                State::Created => {
                    return fail(500, "can only stop created or running containers: container state improper");
                }
                _ => machine.term(id),
            }
        };
        self.await_end(id, term).await;
        empty(204)
    }

    async fn await_end(&self, id: &str, term: Option<(u64, Result<Duration, Duration>)>) {
        let Some((run, wait)) = term else { return };
        self.follow();
        match wait {
            Ok(after) => tokio::time::sleep(after + Duration::from_millis(3)).await,
            Err(grace) => {
                tokio::time::sleep(grace).await;
                self.machine().die(id, run, 137);
                self.follow();
            }
        }
    }

    /// Stops one container after the other, then removes; it may end half way, and then says so with a 200.
    async fn remove_pod(&self, id: &str, late: bool) -> Reply {
        let inside: Vec<Container> = {
            let mut machine = self.machine();
            let Some(pod) = machine.pods.get(id).cloned() else { return fail(404, "no such pod") };
            machine.touch(&pod.labels, &format!("pod {} was removed", pod.name), late);
            machine.containers.values().filter(|one| one.pod == id).cloned().collect()
        };
        for one in inside {
            let term = if one.infra {
                // It ends at once.
                let mut machine = self.machine();
                machine.die(&one.id, one.run, 0);
                None
            } else {
                self.machine().term(&one.id)
            };
            self.await_end(&one.id, term).await;
        }
        let mut machine = self.machine();
        let rate = machine.rates.torn;
        // Somebody may have started one again meanwhile.
        let runs = machine.containers.values().any(|one| one.pod == id && !one.infra && one.state.runs());
        if runs || machine.fault(rate) {
            let whole = false;
            if !runs && machine.dice.one_in(2) {
                machine.drop_pod(id, whole);
            }
            return reply(
                200,
                &json!({ "Err": { "message": "removing a container: device or resource busy" }, "Id": id }),
            );
        }
        machine.drop_pod(id, true);
        reply(200, &json!({ "Err": null, "Id": id }))
    }

    async fn pull(&self, request: &Request) -> Reply {
        let name = request.query.iter().find(|(key, _)| *key == "reference").map(|(_, name)| name.clone());
        let name = name.unwrap_or_default();
        let takes = self.machine().dice.millis(200, 60_000);
        tokio::time::sleep(takes).await;
        let mut machine = self.machine();
        if !machine.registry || name.starts_with("nowhere/") {
            let said = "{\"stream\":\"Trying to pull…\\n\"}\n{\"error\":\"initializing source: connection refused\"}\n";
            return Reply { status: 200, body: said.into() };
        }
        machine.images.insert(name);
        let said = "{\"stream\":\"Trying to pull…\\n\"}\n{\"images\":[\"1\"],\"id\":\"1\"}\n";
        Reply { status: 200, body: said.into() }
    }
}

impl Transport for Podman {
    fn send(&self, request: Request) -> Later<'_, Result<Answer, String>> {
        Box::pin(async move {
            let _in_flight = InFlight::of(self, &request);
            let number = {
                let mut machine = self.machine();
                machine.calls += 1;
                let what = brief(&request);
                machine.note(&what);
                machine.calls
            };
            if self.service() == Service::Gone {
                return Err("Connection refused (os error 111)".into());
            }
            let (to, from) = oneshot::channel();
            {
                let mut handlers = self.handlers();
                while handlers.try_join_next().is_some() {}
                handlers.spawn(self.clone().handle(request, number, to));
            }
            from.await.unwrap_or_else(|_| Err("connection closed before message completed".into()))
        })
    }
}

fn kill(machine: &mut Machine, id: &str, late: bool) -> Reply {
    let Some(found) = machine.containers.get(id).cloned() else { return fail(404, "no such container") };
    machine.touch(&found.labels, &format!("{} was killed", found.name), late);
    if !found.state.runs() {
        return fail(409, "can only kill running containers: container state improper");
    }
    machine.die(id, found.run, 137);
    empty(204)
}

fn kill_pod(machine: &mut Machine, id: &str, late: bool) -> Reply {
    if !machine.pods.contains_key(id) {
        return fail(404, "no such pod");
    }
    let running = machine.containers.values().filter(|one| one.pod == id && one.state.runs());
    let running: Vec<String> = running.map(|one| one.id.clone()).collect();
    if running.is_empty() {
        return fail(409, "no running container: container state improper");
    }
    for one in running {
        kill(machine, &one, late);
    }
    reply(200, &json!({ "Id": id, "Errs": null }))
}

fn whole(reply: Reply) -> Answer {
    let Reply { status, mut body } = reply;
    // Two pieces, as often as not within a line.
    let second = body.split_off(body.len() / 2);
    Answer { status, body: Box::new(Whole(vec![Ok(Bytes::from(second)), Ok(Bytes::from(body))])) }
}

/// Pieces, the last one first; an `Err` is the end of the connection.
struct Whole(Vec<Result<Bytes, ()>>);

impl Pieces for Whole {
    fn next(&mut self) -> Later<'_, Result<Option<Bytes>, String>> {
        let next = self.0.pop().transpose().map_err(|()| "connection reset by peer".to_owned());
        Box::pin(async move { next })
    }
}

fn brief(request: &Request) -> String {
    let name =
        request.body.as_ref().map(|body| body["name"].as_str().or(body["Name"].as_str()).unwrap_or("").to_owned());
    let since = request.query.iter().find(|(key, _)| *key == "since").map(|(_, at)| at.clone());
    let parts = [name, since].into_iter().flatten().collect::<Vec<_>>().join(" ");
    format!("{} {} {parts}", request.method, request.path.join("/"))
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.char_indices().nth(120).map_or(text.trim(), |(at, _)| &text[..at]).trim().to_owned()
}
