//! Which calls' processes run.

use super::super::directory::{ProcessDirectory, names};
use super::super::spec::{ProcessCall, StoredSpec};
use super::{OwnerId, ProcessError, Processes, read};

impl Processes {
    /// The calls whose processes have not ended, with their owners. What was started for no call is not among them.
    pub async fn running_calls(&self) -> Result<Vec<(OwnerId, ProcessCall)>, ProcessError> {
        let mut all = Vec::new();
        for owner in self.owners().await? {
            let home = ProcessDirectory::at(self.inner.root.join(owner.as_str()));
            let calls = read(&home, |home| {
                let mut calls = Vec::new();
                for name in names(home.path())? {
                    let process = ProcessDirectory::at(home.path().join(name));
                    if let Some(StoredSpec { spec, .. }) = process.spec()?
                        && let Some(call) = spec.call
                        && process.status()?.is_some_and(|status| !status.state.ended())
                    {
                        calls.push(call);
                    }
                }
                Ok(calls)
            });
            all.extend(calls.await?.into_iter().map(|call| (owner.clone(), call)));
        }
        Ok(all)
    }
}
