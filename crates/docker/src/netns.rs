//! The container that this process runs in.

/// The id of the container of this process, or `None` on a host.
///
/// Docker mounts `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` from
/// `…/containers/<id>/…`; that path is in `/proc/self/mountinfo` with cgroups of both versions.
/// Where a container shares the network of another one, those files are the other one's, and so is
/// the id: the right one for joining the network.
pub fn self_container_id() -> Option<String> {
    parse(&std::fs::read_to_string("/proc/self/mountinfo").ok()?)
}

fn parse(mountinfo: &str) -> Option<String> {
    mountinfo.lines().find_map(|line| {
        let source = line.split(' ').nth(3)?;
        let target = line.split(' ').nth(4)?;
        if !matches!(target, "/etc/hostname" | "/etc/hosts" | "/etc/resolv.conf") {
            return None;
        }
        let (_, rest) = source.split_once("/containers/")?;
        let id = rest.split('/').next()?;
        (id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_id_is_in_the_source_of_a_mount() {
        let id = "ab".repeat(32);
        let text = format!(
            "1 2 8:1 /x /y rw - ext4 a rw\n733 711 254:0 /var/lib/docker/containers/{id}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw\n"
        );
        assert_eq!(super::parse(&text), Some(id));
        assert_eq!(super::parse("1 2 8:1 / / rw - ext4 a rw\n"), None);
    }
}
