//! An executor of commands that always works: what must go on when podman does not.

use std::collections::BTreeMap;
use std::sync::Mutex;

use flotta_agent::executor::{Call, End, Executor, Handle, Instance, Phase, Quota};
use flotta_agent::model::time::Wall;
use flotta_agent::model::workload::SharedWorkload;

use crate::agent::lock;

#[derive(Default)]
pub struct Plain {
    instances: Mutex<BTreeMap<Handle, Instance>>,
    pub starts: Mutex<u64>,
}

impl Executor for Plain {
    fn list(&self) -> Call<'_, Vec<Instance>> {
        Box::pin(async { Ok(lock(&self.instances).values().cloned().collect()) })
    }

    fn start(&self, workload: SharedWorkload, _quota: Option<u32>) -> Call<'_, Instance> {
        Box::pin(async move {
            let number = {
                let mut starts = lock(&self.starts);
                *starts += 1;
                *starts
            };
            let instance = Instance {
                id: workload.id.clone(),
                hash: workload.hash.clone(),
                handle: Handle(format!("run{number:04}").into()),
                phase: Phase::Running,
                started_at: Wall(number as i64),
                warnings: Vec::new(),
                look: 0,
                quota: Quota::Fixed,
                in_place: false,
                unready: Vec::new(),
            };
            lock(&self.instances).insert(instance.handle.clone(), instance.clone());
            Ok(instance)
        })
    }

    fn stop(&self, handle: Handle) -> Call<'_, End> {
        Box::pin(async move {
            let end = End {
                code: Some(143),
                at: Wall(0),
                how: "told to stop".into(),
                tail: String::new(),
                cut_off: false,
                stopped: true,
            };
            if let Some(instance) = lock(&self.instances).get_mut(&handle) {
                instance.phase = Phase::Ended(end.clone());
            }
            Ok(end)
        })
    }

    fn remove(&self, handle: Handle) -> Call<'_, ()> {
        Box::pin(async move {
            lock(&self.instances).remove(&handle);
            Ok(())
        })
    }
}
