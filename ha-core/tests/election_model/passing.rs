use crate::guard::Guard;
use crate::model::Protocol;
use crate::world::*;

/// Time, and what is done against silence. That of leaders is what matters: those who wait renew with every tick.
impl Protocol {
    pub(crate) fn tick(&self, world: &mut World) {
        for session in world.store.sessions.iter_mut().filter(|it| !it.kept) {
            session.remaining = session.remaining.saturating_sub(1);
        }
        for at in 0..world.processes.len() {
            if let Some(own) = &mut world.processes[at].session {
                own.valid = own.valid.saturating_sub(1);
                if let Some(renewal) = &mut own.renewal {
                    renewal.age = (renewal.age + 1).min(SILENCE);
                }
            }
            if !matches!(world.processes[at].phase, Phase::Leading { .. }) {
                self.renew(world, at);
            }
            self.time_passes(world, at);
        }
        let over: Vec<u8> = world.store.sessions.iter().map(|it| it.number).collect();
        for process in &mut world.processes {
            process.leaving.retain(|it| over.contains(&it.session));
        }
    }

    fn time_passes(&self, world: &mut World, at: usize) {
        let process = &mut world.processes[at];
        let lapsed = process.session.is_some() && !process.is_valid();
        match process.phase {
            Phase::Leading { .. } if lapsed && !self.lacks(Guard::Deadline) => self.lose(world, at),
            Phase::Waiting { .. } | Phase::Pausing if lapsed => {
                process.phase = Phase::Pausing;
                self.drop_session(world, at);
            }
            Phase::Waiting { waited, .. } if waited + 1 >= SILENCE => process.phase = Phase::Attempting { over: None },
            Phase::Waiting { on, waited } => process.phase = Phase::Waiting { on, waited: waited + 1 },
            Phase::Pausing => Self::contend(world, at),
            Phase::Yielding { wanted, .. } => Self::yielded(world, at, wanted),
            _ => {}
        }
    }

    pub(crate) fn renew(&self, world: &mut World, at: usize) {
        let Some(own) = &mut world.processes[at].session else { return };
        if let Some(session) = world.store.sessions.iter_mut().find(|it| it.number == own.number) {
            session.remaining = SILENCE;
            own.valid = SILENCE;
        }
    }

    pub(crate) fn send_renewal(&self, world: &mut World, at: usize) {
        world.left.slow_renewals -= 1;
        let Some(own) = &mut world.processes[at].session else { return };
        own.renewal = Some(Renewal { age: 0, arrived: false });
        if self.lacks(Guard::OnlyAcknowledged) {
            own.valid = SILENCE;
        }
    }

    pub(crate) fn renewal_arrives(world: &mut World, at: usize) {
        let Some(own) = &mut world.processes[at].session else { return };
        let Some(renewal) = &mut own.renewal else { return };
        match world.store.sessions.iter_mut().find(|it| it.number == own.number) {
            Some(session) => {
                session.remaining = SILENCE;
                renewal.arrived = true;
            }
            None => own.renewal = None,
        }
    }

    pub(crate) fn acknowledge_renewal(&self, world: &mut World, at: usize) {
        let Some(own) = &mut world.processes[at].session else { return };
        let Some(renewal) = own.renewal.take() else { return };
        let age = if self.lacks(Guard::FromSending) { 0 } else { renewal.age };
        own.valid = own.valid.max(SILENCE - age);
    }
}
