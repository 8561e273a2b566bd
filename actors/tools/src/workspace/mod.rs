//! Workspaces: where the shell and file tools work. A provisioner makes them from templates.
