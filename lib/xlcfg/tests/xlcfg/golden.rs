//! Configurations in every form that the manual pages describe.

use xlcfg::{Config, Disk, OnEvent, Place, TscMode, Vif, text};

fn config(rest: &str) -> Config {
    Config::read(&format!("name = 'guest'\nkernel = '/boot/vmlinuz'\nmemory = 128\n{rest}")).unwrap()
}

#[test]
fn everything_that_is_obeyed_at_once() {
    let text = r#"
# A guest with everything.
type = "pv"; builder = "generic"
name = "web-1.example"
uuid = "06ed00fe-1162-4fc4-b5d8-11993ee4a8b9"
kernel = '/boot/vmlinuz'
ramdisk = "/boot/initrd.img"
cmdline = "console=hvc0 root=/dev/xvda quiet"
memory = 512
maxmem = "1024"
vcpus = 0x2
maxvcpus = 4
cpu_weight = 512
tsc_mode = "native"
on_poweroff = "preserve"
on_reboot = "destroy"
on_watchdog = "restart"
on_crash = "rename-restart"
vif = [
    'mac=00:16:3e:5f:00:01, bridge=br1, rate=10MB/s', # the first
    'ip=10.0.0.7',
]
disk = [ '/dev/vg/web,raw,xvda,rw', "format=raw, vdev=xvdb, access=ro, target=/images/a,b.img" ]
max_grant_frames = 32
max_maptrack_frames = 0
max_event_channels = 255
"#;
    let expected = Config {
        name: "web-1.example".into(),
        uuid: Some([
            0x06, 0xed, 0, 0xfe, 0x11, 0x62, 0x4f, 0xc4, 0xb5, 0xd8, 0x11, 0x99, 0x3e, 0xe4, 0xa8, 0xb9,
        ]),
        kernel: "/boot/vmlinuz".into(),
        ramdisk: Some("/boot/initrd.img".into()),
        cmdline: "console=hvc0 root=/dev/xvda quiet".into(),
        memory_mib: 512,
        most_memory_mib: 1024,
        vcpus: 2,
        most_vcpus: 4,
        cpu_weight: 512,
        tsc_mode: TscMode::Native,
        on_poweroff: OnEvent::Preserve,
        on_reboot: OnEvent::Destroy,
        on_watchdog: OnEvent::Restart,
        on_crash: OnEvent::RenameRestart,
        vifs: vec![
            Vif {
                mac: Some([0, 0x16, 0x3e, 0x5f, 0, 1]),
                bridge: Some("br1".into()),
                ip: None,
                rate: Some(10_000_000),
            },
            Vif { ip: Some("10.0.0.7".into()), ..Vif::default() },
        ],
        disks: vec![
            Disk { target: Some("/dev/vg/web".into()), vdev: "xvda".into(), ..Disk::default() },
            Disk {
                target: Some("/images/a,b.img".into()),
                vdev: "xvdb".into(),
                read_only: true,
                ..Disk::default()
            },
        ],
        max_grant_frames: Some(32),
        max_maptrack_frames: Some(0),
        max_event_channels: Some(255),
    };
    assert_eq!(Config::read(text).unwrap(), expected);
}

#[test]
fn little_need_be_said() {
    let found = config("");
    assert_eq!((found.most_memory_mib, found.vcpus, found.most_vcpus), (128, 1, 1));
    assert_eq!((found.cpu_weight, found.tsc_mode), (256, TscMode::Default));
    let events = [found.on_poweroff, found.on_reboot, found.on_watchdog, found.on_crash];
    assert_eq!(events, [OnEvent::Destroy, OnEvent::Restart, OnEvent::Destroy, OnEvent::Destroy]);
    assert_eq!((found.cmdline.as_str(), found.ramdisk, found.uuid), ("", None, None));
    assert!(found.vifs.is_empty() && found.disks.is_empty());
}

#[test]
fn root_and_extra_make_a_command_line() {
    assert_eq!(config("root = '/dev/xvda1 ro'").cmdline, "root=/dev/xvda1 ro");
    assert_eq!(config("extra = 'quiet'").cmdline, "quiet");
    assert_eq!(config("extra = 'quiet'\nroot = '/dev/xvda1'").cmdline, "root=/dev/xvda1 quiet");
}

#[test]
fn a_disk_may_be_written_in_all_its_forms() {
    let plain = |target: &str| Disk { target: Some(target.into()), vdev: "hda".into(), ..Disk::default() };
    let disc = |target: Option<&str>| Disk {
        target: target.map(Into::into),
        vdev: "hdc".into(),
        read_only: true,
        cdrom: true,
        ..Disk::default()
    };
    let cases = [
        // One volume, by position, with and without what goes without saying, by name, and as long ago.
        ("/dev/vg/guest,,hda", plain("/dev/vg/guest")),
        ("/dev/vg/guest,raw,hda,rw", plain("/dev/vg/guest")),
        ("/dev/vg/guest, raw, hda, w", plain("/dev/vg/guest")),
        ("format=raw, vdev=hda, access=rw, target=/dev/vg/guest", plain("/dev/vg/guest")),
        ("vdev=hda,target=/dev/vg/guest", plain("/dev/vg/guest")),
        ("/dev/vg/guest,raw,vdev=hda", plain("/dev/vg/guest")),
        ("raw:/dev/vg/guest,hda,w", plain("/dev/vg/guest")),
        ("phy:/dev/vg/guest,hda,w", plain("/dev/vg/guest")),
        ("file:/images/guest,hda", plain("/images/guest")),
        ("backendtype=phy,vdev=hda,target=/dev/vg/guest", plain("/dev/vg/guest")),
        // All behind target= is the target.
        ("vdev=hda,target=/images/a=1,b", plain("/images/a=1,b")),
        // A disc, and a drive without one.
        ("/images/disc.iso,,hdc,cdrom", disc(Some("/images/disc.iso"))),
        ("/images/disc.iso,,hdc,,cdrom", disc(Some("/images/disc.iso"))),
        (
            "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/images/disc.iso",
            disc(Some("/images/disc.iso")),
        ),
        ("raw:/images/disc.iso,hdc:cdrom,ro", disc(Some("/images/disc.iso"))),
        (",,hdc,,cdrom", disc(None)),
        (",empty,hdc,cdrom", disc(None)),
        ("vdev=hdc,access=ro,devtype=cdrom,target=", disc(None)),
        // What else can be said.
        ("/d,,hda,discard", Disk { discard: Some(true), ..plain("/d") }),
        ("/d,,hda,r,no-discard", Disk { discard: Some(false), read_only: true, ..plain("/d") }),
        ("/d,,xvdaa15", Disk { vdev: "xvdaa15".into(), ..plain("/d") }),
    ];
    for (text, expected) in cases {
        assert_eq!(expected.to_string().parse(), Ok(expected.clone()), "{expected}");
        assert_eq!(config(&format!("disk = ['{text}']")).disks, [expected], "{text}");
    }
}

#[test]
fn an_interface_may_say_anything_or_nothing() {
    let cases = [
        ("", Vif::default()),
        ("type=vif", Vif::default()),
        ("bridge=br0", Vif { bridge: Some("br0".into()), ..Vif::default() }),
        ("mac=0A:0b:0C:0d:0E:0f", Vif { mac: Some([10, 11, 12, 13, 14, 15]), ..Vif::default() }),
        ("rate=80Mb/s", Vif { rate: Some(10_000_000), ..Vif::default() }),
        ("rate=8KB/s", Vif { rate: Some(8_000), ..Vif::default() }),
        ("rate=1Gb/s", Vif { rate: Some(125_000_000), ..Vif::default() }),
    ];
    for (text, expected) in cases {
        assert_eq!(expected.to_string().parse(), Ok(expected.clone()), "{expected}");
        assert_eq!(config(&format!("vif = ['{text}']")).vifs, [expected], "{text}");
    }
    assert!(config("vif = []").vifs.is_empty());
}

#[test]
fn texts_say_what_is_meant() {
    let read = |text: &str| text::read(text).unwrap();
    let value = |text: &str| match read(text).remove(0).value {
        text::Value::One(text) => text,
        list => panic!("{list:?}"),
    };
    assert_eq!(value(r#"a = "x\"y'z\\\n\t""#).text, "x\"y'z\\\n\t");
    assert_eq!(value(r"a = 'x\'y#;'").text, "x'y#;");
    assert_eq!(value("a=0x1f").text, "0x1f");
    assert_eq!(value("\n  a =   'é'").place, Place { line: 2, column: 9 });
    assert_eq!(read(";;\n a=1;b=[1,'2',];\r\n# nothing\nc=''").len(), 3);
    assert_eq!(read(""), []);
}
