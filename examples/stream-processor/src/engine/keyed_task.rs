use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::blocking;
use super::coordinator::Ack;
use crate::error::EngineError;
use crate::event::Message;
use crate::plan::ExecutionPlan;
use crate::progress::Progress;
use crate::sink::PartWriter;
use crate::window::Windows;

/// Folds the events of its share of the keys, and writes the windows that are closed.
#[derive(Debug)]
pub(super) struct KeyedTask {
    number: u32,
    attempt: u64,
    window_ms: u64,
    output: PathBuf,
    windows: Windows,
    /// Made with the first row after a barrier: a part without rows is no file.
    writer: Option<PartWriter>,
    progress: Arc<Progress>,
}

impl KeyedTask {
    pub(super) fn new(
        plan: &ExecutionPlan,
        number: u32,
        attempt: u64,
        windows: Windows,
        progress: Arc<Progress>,
    ) -> Self {
        let (window_ms, output) = (plan.window_ms, plan.output.clone());
        Self { number, attempt, window_ms, output, windows, writer: None, progress }
    }

    pub(super) async fn run(
        mut self,
        mut messages: mpsc::Receiver<Message>,
        acks: mpsc::Sender<Ack>,
    ) -> Result<(), EngineError> {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Batch(batch) => {
                    batch.fold_into(&mut self.windows);
                    if !batch.is_empty() {
                        self.progress.folded();
                    }
                    self.emit(batch.watermark_ms)?;
                }
                Message::Barrier { checkpoint, watermark_ms } => {
                    self.emit(watermark_ms)?;
                    let part = match self.writer.take() {
                        Some(writer) => Some(blocking(move || writer.close(checkpoint)).await?),
                        None => None,
                    };
                    let ack = Ack::Keyed { checkpoint, windows: self.windows.clone(), part };
                    if acks.send(ack).await.is_err() {
                        break;
                    }
                }
            }
        }
        // The other ends are gone: the engine is being dropped, and nobody asks for the reason.
        Ok(())
    }

    fn emit(&mut self, watermark_ms: u64) -> Result<(), EngineError> {
        while let Some((window_start_ms, keyed)) = self.windows.pop_closed(watermark_ms, self.window_ms) {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                none => none.insert(PartWriter::create(&self.output, self.number, self.attempt)?),
            };
            writer.write(window_start_ms, &keyed)?;
        }
        Ok(())
    }
}
