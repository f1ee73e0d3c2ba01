use std::sync::Arc;
use std::time::Duration;

use ha_core::seam::Moment;
use tokio::sync::watch;

use crate::front::Front;
use crate::settings::FilesystemSettings;
use crate::shared::Shared;
use crate::worker::Worker;

/// How often one who waits looks at most, unless it is told.
const LOOKS: u32 = 8;

/// Waits for numbers to appear. Looking at the name is the truth; what the kernel tells only makes it sooner.
#[derive(Debug)]
pub(crate) struct Follow {
    shared: Arc<Shared>,
    front: Arc<Worker<Front>>,
    settings: FilesystemSettings,
    #[cfg(target_os = "linux")]
    notify: Option<crate::notify::Notify>,
}

impl Follow {
    pub(crate) fn new(shared: Arc<Shared>, front: Arc<Worker<Front>>, settings: FilesystemSettings) -> Self {
        #[cfg(target_os = "linux")]
        let notify = Self::notify(&shared);
        Self {
            shared,
            front,
            settings,
            #[cfg(target_os = "linux")]
            notify,
        }
    }

    /// `None` where other machines write, which the kernel does not hear of, and where it has none left.
    #[cfg(target_os = "linux")]
    fn notify(shared: &Shared) -> Option<crate::notify::Notify> {
        use crate::disk::Folder;
        if !shared.mount.is_local() {
            return None;
        }
        let folder = shared.disk.root().join(Folder::Journal.path(Folder::Entries.name()));
        let notify = crate::notify::Notify::start(&folder);
        notify.inspect_err(|error| tracing::info!(%error, "no notifications: the journal is looked at by time")).ok()
    }

    fn news(&self) -> Option<watch::Receiver<u64>> {
        #[cfg(target_os = "linux")]
        return self.notify.as_ref().map(|notify| notify.news.clone());
        #[cfg(not(target_os = "linux"))]
        None
    }

    pub(crate) async fn appended(&self, number: u64, patience: Duration) {
        let seam = &self.shared.seam;
        let until = seam.now() + patience;
        // Whoever has time does not look more often than that is worth.
        let pause = patience / LOOKS;
        let mut news = self.news();
        while self.shared.usable().is_ok() {
            if let Some(news) = &mut news {
                // What comes after this look at the name wakes us, what came before is seen by it.
                news.borrow_and_update();
            }
            if self.front.run(move |front| Ok(front.exists(number))).await != Ok(false) {
                return;
            }
            if seam.now() >= until || self.wait(number, &mut news, pause, until).await {
                return;
            }
        }
    }

    /// Until there is reason to look again. Whether the number was told.
    async fn wait(&self, number: u64, news: &mut Option<watch::Receiver<u64>>, pause: Duration, until: Moment) -> bool {
        let seam = &self.shared.seam;
        let next_look = (seam.now() + self.settings.poll(news.is_some()).max(pause)).min(until);
        let told = async {
            match news.as_mut() {
                Some(news) => news.changed().await.map(|()| *news.borrow_and_update()),
                None => std::future::pending().await,
            }
        };
        let heard = tokio::select! {
            biased;
            () = self.shared.closed() => return true,
            heard = told => heard,
            () = seam.sleep_until(next_look) => return false,
        };
        match heard {
            Ok(last) => last >= number,
            // Nothing is told any more: by time from now on.
            Err(_) => {
                *news = None;
                false
            }
        }
    }
}
