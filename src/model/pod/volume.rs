//! Volumes of a pod, and where its containers have them.

use super::{Field, Referred, ResourceField};

/// A volume in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Which volume.
    pub volume: String,
    /// Where, absolute.
    pub path: String,
    /// A relative path within the volume; empty: all of it.
    pub sub_path: String,
    /// It cannot be written there.
    pub read_only: bool,
    /// Whether mounts made later are seen: `rprivate`, `rslave` or `rshared`.
    pub propagation: &'static str,
}

/// A volume of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// Empty at first, gone with the pod.
    Empty {
        /// In memory rather than on disk.
        memory: bool,
        /// In bytes.
        size_limit: Option<u64>,
    },
    /// A path of the device.
    HostPath {
        /// Absolute.
        path: String,
        /// What must be there, or is made.
        kind: HostPathType,
    },
    /// Files whose content is known: of ConfigMaps, Secrets, and fields of the pod.
    Files(Files),
    /// What outlives the pod: one per namespace and name, made when it is first used.
    Claim {
        /// The claim's name.
        name: String,
        /// No container may write to it.
        read_only: bool,
    },
}

impl Volume {
    /// The files it is made of, if it is made of files.
    #[must_use]
    pub fn files(&self) -> Option<&Files> {
        match self {
            Volume::Files(files) => Some(files),
            Volume::Empty { .. } | Volume::HostPath { .. } | Volume::Claim { .. } => None,
        }
    }
}

/// What must be at a path of the device (Kubernetes' `hostPath.type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostPathType {
    /// Anything.
    #[default]
    Any,
    /// A directory; made if it is not there.
    DirectoryOrCreate,
    /// A directory.
    Directory,
    /// A file; made if it is not there.
    FileOrCreate,
    /// A file.
    File,
    /// A unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// Files whose content is known when the pod starts (`configMap`, `secret`, `downwardAPI`, `projected`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// All of them together; where two have the same path, the later one stands.
    pub sources: Vec<FileSource>,
    /// Mode of files that say none.
    pub mode: u32,
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileSource {
    /// A ConfigMap or Secret.
    Object(ObjectFiles),
    /// Fields of the pod.
    Downward(Vec<DownwardItem>),
}

/// Files from a ConfigMap or Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFiles {
    /// Of which.
    pub of: Referred,
    /// Its name.
    pub name: String,
    /// Which keys become which files (relative path and mode); empty: all of them, under their own names.
    pub items: Vec<FileItem>,
    /// It may be missing.
    pub optional: bool,
}

/// A field of the pod that becomes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownwardItem {
    /// Relative, within the volume.
    pub path: String,
    /// `None`: the volume's.
    pub mode: Option<u32>,
    /// What stands in it.
    pub what: DownwardWhat,
}

/// What a file of the pod's own fields says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownwardWhat {
    /// A single field.
    Field(Field),
    /// All labels, a line each: `key="value"`.
    Labels,
    /// All annotations, a line each.
    Annotations,
    /// What a container may use.
    Resource(ResourceField),
}

/// A key that becomes a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileItem {
    /// Which key.
    pub key: String,
    /// Relative, within the volume.
    pub path: String,
    /// `None`: the volume's.
    pub mode: Option<u32>,
}
