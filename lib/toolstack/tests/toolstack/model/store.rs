//! XenStore as root and backends see it, and a test that compares.

use ring::xenstore::Interface;
use xen_abi::Domid;
use xenstore::wire::Kind;
use xenstore_ring::testing::Server;

/// XenStore, at the other end of the toolstack's ring.
pub struct Store(Server<'static>);

impl Store {
    pub fn new(interface: Interface<'static>, tool: Domid) -> Self {
        Self(Server::new(interface, tool))
    }

    pub fn take_news(&mut self) -> bool {
        self.0.take_news()
    }

    /// Serves the toolstack's ring.
    pub fn turn(&mut self) {
        self.0.turn();
    }

    pub fn read(&mut self, path: &str) -> Option<String> {
        let value = self.0.admin(Kind::Read, format!("{path}\0").as_bytes())?;
        Some(String::from_utf8(value).expect("text"))
    }

    fn permissions(&mut self, path: &str) -> String {
        let entries = self.0.admin(Kind::GetPerms, format!("{path}\0").as_bytes()).expect("it is there");
        let entries = String::from_utf8(entries).expect("text");
        entries.trim_end_matches('\0').replace('\0', ",")
    }

    pub fn write(&mut self, path: &str, value: &str) {
        self.0.admin(Kind::Write, format!("{path}\0{value}").as_bytes()).expect("dom0 may write");
    }

    pub fn children(&self, path: &str) -> Vec<String> {
        let children = self.0.children(path.as_bytes()).into_iter();
        children.map(|child| String::from_utf8(child).expect("text")).collect()
    }

    /// All nodes, with values and permissions, in the order of their paths.
    pub fn dump(&mut self) -> Vec<String> {
        let mut nodes = Vec::new();
        let mut paths = vec!["/".to_owned()];
        while let Some(path) = paths.pop() {
            paths.extend(self.children(&path));
            let (value, permissions) = (self.read(&path).expect("it is there"), self.permissions(&path));
            nodes.push(format!("{path} ({permissions}) = {value:?}"));
        }
        nodes.sort();
        nodes
    }
}
