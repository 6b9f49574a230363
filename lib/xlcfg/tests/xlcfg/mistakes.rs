//! Every mistake, with its place and what is said about it.

use xlcfg::Config;

/// What is said about a sound configuration with `rest` from its fourth line on.
fn said(rest: &str) -> String {
    let text = format!("name = 'guest'\nkernel = '/boot/vmlinuz'\nmemory = 128\n{rest}");
    Config::read(&text).unwrap_err().to_string()
}

#[test]
fn text_that_is_no_list_of_settings() {
    for (rest, expected) in [
        ("vcpus", "4:6: \"=\" expected, the end of the file found"),
        ("vcpus 2", "4:7: \"=\" expected, '2' found"),
        ("vcpus = two", "4:9: a text in quotes, a number or a list expected, 't' found"),
        ("vcpus = 2 3", "4:11: the end of the line or \";\" expected, '3' found"),
        ("Vcpus = 2", "4:1: a key (of lower-case letters, digits and _) expected, 'V' found"),
        ("2 = 2", "4:1: a key (of lower-case letters, digits and _) expected, '2' found"),
        ("extra = 'quiet", "4:15: the closing quote expected, the end of the file found"),
        ("extra = 'quiet\n'", "4:15: the closing quote expected, the end of the line found"),
        ("extra = '\\q'", "4:11: one of \\ \" ' n t expected, 'q' found"),
        ("vif = [ 'a' 'b' ]", "4:13: \",\" or \"]\" expected, '\\'' found"),
        ("vif = [ 'a',\n", "5:1: a text in quotes, a number or a list expected, the end of the file found"),
        ("vif = [ , ]", "4:9: a text in quotes, a number or a list expected, ',' found"),
    ] {
        assert_eq!(said(rest), expected, "{rest:?}");
    }
}

#[test]
fn keys_that_are_not_obeyed() {
    for (rest, expected) in [
        ("\n  vnc = 1", "5:3: vnc: refused: no device is emulated for a PV guest"),
        (
            "hap = 1",
            "4:1: hap: refused: it concerns guests with hardware page tables, and this host runs PV guests",
        ),
        (
            "bootloader = 'pygrub'",
            "4:1: bootloader: refused: a guest's kernel is a file of the host's; nothing looks for one inside its disk",
        ),
        ("cpus = '0-3'", "4:1: cpus: refused: guests are placed by the scheduler alone"),
        ("pci = [ '01:00.0' ]", "4:1: pci: refused: nothing on this host serves such a device"),
        ("memroy = 512", "4:1: memroy: xl.cfg(5) has no such key"),
        ("memory = 512", "4:1: memory: it is set already, at 3:1"),
        ("type = 'hvm'", "4:1: type: refused: this host runs PV guests"),
        ("builder = 'hvm'", "4:1: builder: refused: this host runs PV guests"),
        ("on_crash = 'coredump-restart'", "4:12: on_crash=coredump-restart: refused: no core is dumped"),
        ("cmdline = 'a'\nroot = '/dev/xvda'", "5:1: root: refused: cmdline says all there is to say"),
    ] {
        assert_eq!(said(rest), expected, "{rest:?}");
    }
}

#[test]
fn values_that_are_none_for_their_key() {
    for (rest, expected) in [
        ("vcpus = 0", "4:9: vcpus: a number expected, 0, which is not from 1 to 128 found"),
        ("vcpus = 'two'", "4:9: vcpus: a number expected, \"two\" found"),
        ("vcpus = '+2'", "4:9: vcpus: a number expected, +2, which is not from 1 to 128 found"),
        ("vcpus = [ 2 ]", "4:1: vcpus: one value expected, a list found"),
        ("vcpus = 4; maxvcpus = 2", "4:23: maxvcpus: a number expected, 2, which is not from 4 to 128 found"),
        ("maxmem = 64", "4:10: maxmem: a number expected, 64, which is not from 128 to 1048576 found"),
        ("vif = ''", "4:7: vif: a list in [ ] expected, one value found"),
        ("ramdisk = ''", "4:11: ramdisk: a text expected, an empty one found"),
        ("uuid = '06ed00fe'", "4:8: uuid: 32 hexadecimal digits as 8-4-4-4-12 expected, \"06ed00fe\" found"),
        ("type = 'pvx'", "4:8: type: pv, pvh or hvm expected, \"pvx\" found"),
        (
            "on_reboot = 'later'",
            "4:13: on_reboot: destroy, restart, rename-restart or preserve expected, \"later\" found",
        ),
        ("tsc_mode = 3", "4:12: tsc_mode: default, always_emulate or native expected, \"3\" found"),
    ] {
        assert_eq!(said(rest), expected, "{rest:?}");
    }
}

#[test]
fn disks_that_cannot_be() {
    for (disk, expected) in [
        ("/d", "vdev is missing: what the guest is to call the disk, xvda for instance"),
        ("/d,,vda", "vdev: xvda, sda, hda or the like expected, vda found"),
        ("/d,,xvda0", "vdev: xvda, sda, hda or the like expected, xvda0 found"),
        (",,xvda", "target is missing: only a drive for discs may be empty"),
        ("/d,raw,xvda,x", "access: ro, r, rw or w expected, x found"),
        ("/d,qcow2,xvda", "format=qcow2: refused: the disks' unikernel reads raw volumes alone"),
        ("qcow2:/d,xvda", "format=qcow2: refused: the disks' unikernel reads raw volumes alone"),
        ("/d,zip,xvda", "format: raw, qcow, qcow2, vhd, qed or empty expected, zip found"),
        ("/d,,xvda,rw,more", "the end, after target, format, vdev and access, expected, \"more\" found"),
        (
            "/d,,xvda,script=x",
            "script: refused: no script runs: the disks' unikernel knows its volumes itself",
        ),
        ("/d,,xvda,speed=9", "speed: xl.cfg(5) has no such key"),
        ("/d,,hdc:tape", "devtype: cdrom or disk expected, tape found"),
        (
            "/d,,xvda,backendtype=qdisk",
            "backendtype: phy, because every disk is served by the disks' unikernel, expected, qdisk found",
        ),
    ] {
        assert_eq!(said(&format!("disk = [ '{disk}' ]")), format!("4:10: {expected}"), "{disk}");
    }
    let twice = "4:22: vdev: a name of its own for each disk expected, xvda for a second time found";
    assert_eq!(said("disk = [ '/a,,xvda', '/b,,xvda' ]"), twice);
}

#[test]
fn interfaces_that_cannot_be() {
    for (vif, expected) in [
        ("mac=00:16:3e:5f:00", "mac: six hexadecimal bytes with : between expected, 00:16:3e:5f:00 found"),
        (
            "mac=01:16:3e:5f:00:01",
            "mac: six hexadecimal bytes with : between expected, 01:16:3e:5f:00:01 found",
        ),
        ("rate=fast", "rate: a rate up to 80GB/s, such as 10MB/s or 80Mb/s, expected, fast found"),
        ("rate=0MB/s", "rate: a rate up to 80GB/s, such as 10MB/s or 80Mb/s, expected, 0MB/s found"),
        ("rate=81GB/s", "rate: a rate up to 80GB/s, such as 10MB/s or 80Mb/s, expected, 81GB/s found"),
        (
            "rate=99999999999999999999GB/s",
            "rate: a rate up to 80GB/s, such as 10MB/s or 80Mb/s, expected, 99999999999999999999GB/s found",
        ),
        ("bridge=", "bridge: a name or an address expected,  found"),
        ("model=e1000", "model: refused: no device is emulated for a PV guest"),
        ("colour=red", "colour: xl.cfg(5) has no such key"),
        ("type=ioemu", "type: vif, because no device is emulated for a PV guest, expected, ioemu found"),
    ] {
        assert_eq!(said(&format!("vif = [ '{vif}' ]")), format!("4:9: {expected}"), "{vif}");
    }
}

#[test]
fn keys_without_which_there_is_no_guest() {
    let said = |text| Config::read(text).unwrap_err().to_string();
    assert_eq!(said(""), "1:1: memory is missing: how many MiB of memory the guest has");
    assert_eq!(said("memory = 1; kernel = 'k'"), "1:1: name is missing: what the guest is called");
    assert_eq!(said("memory = 1; name = 'n'"), "1:1: kernel is missing: the file with the guest's kernel");
    let odd = said("name = 'a/b'; memory = 1; kernel = 'k'");
    assert_eq!(odd, "1:8: name: 1 to 64 letters, digits, and - _ . + expected, \"a/b\" found");
}
