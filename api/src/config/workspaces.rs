//! `[templates.NAME]`, `[coder]` and `[workspaces]`: where chats work.

use std::collections::BTreeMap;

use verbatim_events::template::check_template_name;
use verbatim_tools::workspace::port::ProvisionerKind;
use verbatim_tools::workspace::template::TemplateConfig;

use super::ConfigError;
use super::layer::Layer;
use super::settle::Sources;

/// The templates, their paths made what they are relative to; the rest of it checked.
pub(super) fn templates(layer: &Layer, sources: &Sources<'_>) -> Result<BTreeMap<String, TemplateConfig>, ConfigError> {
    if let Some(coder) = &layer.coder
        && reqwest::Url::parse(&coder.url).ok().is_none_or(|url| !matches!(url.scheme(), "http" | "https"))
    {
        return Err(sources.refuse(&["coder", "url"], "a url is an absolute http or https URL"));
    }
    let folder = sources.folder("templates");
    let mut templates = BTreeMap::new();
    for (name, configured) in &layer.templates {
        check_template_name(name).map_err(|problem| sources.refuse(&["templates", name], problem))?;
        configured.check().map_err(|(key, problem)| sources.refuse(&["templates", name, key], problem))?;
        if configured.provisioner == ProvisionerKind::Coder && layer.coder.is_none() {
            let problem = "the provisioner \"coder\" needs [coder] with the url of a deployment";
            return Err(sources.refuse(&["templates", name, "provisioner"], problem));
        }
        let path = configured.path.as_ref().map(|path| folder.join(path));
        templates.insert(name.clone(), TemplateConfig { path, ..configured.clone() });
    }
    Ok(templates)
}
