//! XenStore as plainly as it can be said: a map of nodes, copied whole for each transaction, and a list of watches.

use std::collections::{BTreeMap, BTreeSet};

/// Who asks: dom0, or a guest.
pub type Domid = u32;
/// An entry of a node's permissions: whom it is for, whether they may read, and whether they may write.
pub type Permission = (Domid, bool, bool);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Read(String),
    Directory(String),
    GetPerms(String),
    Write(String, String),
    Mkdir(String),
    Rm(String),
    SetPerms(String, Vec<Permission>),
    Watch(String, String),
    Unwatch(String, String),
    Start,
    End(bool),
}

/// What one client gets: an event, or the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Event(Domid, String, String),
    Answer(Domid, Result<String, &'static str>),
}

#[derive(Clone, Debug)]
struct Node {
    value: String,
    permissions: Vec<Permission>,
    children: Vec<String>,
    version: u64,
}

type Nodes = BTreeMap<String, Node>;

#[derive(Clone, Debug)]
struct Transaction {
    nodes: Nodes,
    /// What was touched first, second, ... and as it was then.
    touched: Vec<(String, Option<Node>)>,
    changed: BTreeSet<String>,
    fires: BTreeMap<String, bool>,
}

#[derive(Debug)]
pub struct Model {
    nodes: Nodes,
    version: u64,
    watches: Vec<(Domid, String, String)>,
    transactions: BTreeMap<(Domid, u32), Transaction>,
    next: BTreeMap<Domid, u32>,
}

fn parent(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/".to_owned(),
        Some((parent, _)) => parent.to_owned(),
    }
}

fn leaf(path: &str) -> String {
    path.rsplit_once('/').map_or(path, |(_, leaf)| leaf).to_owned()
}

fn child(path: &str, name: &str) -> String {
    if path == "/" { format!("/{name}") } else { format!("{path}/{name}") }
}

fn is_within(path: &str, above: &str) -> bool {
    above == "/" || path == above || path.starts_with(&format!("{above}/"))
}

/// Whether somebody may read, may write, and owns.
fn rights(who: Domid, permissions: &[Permission]) -> (bool, bool, bool) {
    let (owner, read, write) = permissions[0];
    if who == 0 || who == owner {
        return (true, true, true);
    }
    match permissions[1..].iter().find(|(domid, ..)| *domid == who) {
        Some(&(_, read, write)) => (read, write, false),
        None => (read, write, false),
    }
}

#[derive(Clone, Copy)]
enum Wanted {
    Read,
    Write,
    Own,
}

impl Wanted {
    fn is_granted(self, (read, write, own): (bool, bool, bool)) -> bool {
        match self {
            Self::Read => read,
            Self::Write => write,
            Self::Own => write && own,
        }
    }

    fn is_partly_granted(self, (read, write, own): (bool, bool, bool)) -> bool {
        match self {
            Self::Read => read,
            Self::Write => write,
            Self::Own => write || own,
        }
    }
}

/// What a transaction has touched, and what it has changed.
type Footprint<'a> = (&'a mut Vec<(String, Option<Node>)>, &'a mut BTreeSet<String>);

/// The nodes that a request works on, and what it does with them.
struct View<'a> {
    who: Domid,
    nodes: &'a mut Nodes,
    transaction: Option<Footprint<'a>>,
    version: &'a mut u64,
}

impl View<'_> {
    fn see(&mut self, path: &str) -> Option<Node> {
        let node = self.nodes.get(path).cloned();
        if let Some((touched, _)) = &mut self.transaction
            && touched.iter().all(|(other, _)| other != path)
        {
            touched.push((path.to_owned(), node.clone()));
        }
        node
    }

    fn get(&mut self, path: &str, wanted: Wanted) -> Result<Node, &'static str> {
        let error = match self.see(path) {
            Some(node) if wanted.is_granted(rights(self.who, &node.permissions)) => return Ok(node),
            Some(_) => "EACCES",
            None => "ENOENT",
        };
        let mut above = path.to_owned();
        loop {
            above = parent(&above);
            if let Some(node) = self.see(&above) {
                let some = wanted.is_partly_granted(rights(self.who, &node.permissions));
                return Err(if some { error } else { "EACCES" });
            }
        }
    }

    fn put(&mut self, path: &str, node: Node) {
        *self.version += 1;
        self.nodes.insert(path.to_owned(), Node { version: *self.version, ..node });
        if let Some((_, changed)) = &mut self.transaction {
            changed.insert(path.to_owned());
        }
    }

    fn create(&mut self, path: &str, value: &str) {
        let above = parent(path);
        if self.see(&above).is_none() {
            self.create(&above, "");
        }
        let mut node = self.nodes[&above].clone();
        node.children.push(leaf(path));
        let mut permissions = node.permissions.clone();
        self.put(&above, node);
        if self.who != 0 {
            permissions[0].0 = self.who;
        }
        self.put(path, Node { value: value.to_owned(), permissions, children: Vec::new(), version: 0 });
    }

    /// Removes a subtree; answers with its paths in the order of the walk down.
    ///
    /// In a transaction, nodes that it has not touched may be gone in the meantime: the parent, or children.
    fn remove(&mut self, path: &str) -> Result<Vec<String>, &'static str> {
        let above = parent(path);
        self.see(&above).ok_or("EINVAL")?;
        let paths = self.walk(path)?;
        for path in &paths {
            self.nodes.remove(path);
            if let Some((_, changed)) = &mut self.transaction {
                changed.insert(path.clone());
            }
        }
        let mut node = self.nodes[&above].clone();
        node.children.retain(|name| *name != leaf(path));
        self.put(&above, node);
        Ok(paths)
    }

    fn walk(&mut self, path: &str) -> Result<Vec<String>, &'static str> {
        let mut paths = vec![path.to_owned()];
        for name in self.see(path).ok_or("EIO")?.children {
            paths.extend(self.walk(&child(path, &name))?);
        }
        Ok(paths)
    }
}

impl Model {
    pub fn new() -> Self {
        let node = |children: &[&str]| Node {
            value: String::new(),
            permissions: vec![(0, false, false)],
            children: children.iter().map(|&name| name.to_owned()).collect(),
            version: 0,
        };
        let nodes = [("/", node(&["tool"])), ("/tool", node(&["xenstored"])), ("/tool/xenstored", node(&[]))];
        Self {
            nodes: nodes.into_iter().map(|(path, node)| (path.to_owned(), node)).collect(),
            version: 0,
            watches: Vec::new(),
            transactions: BTreeMap::new(),
            next: BTreeMap::new(),
        }
    }

    /// Answers a request, and says all that is sent because of it.
    pub fn ask(&mut self, who: Domid, transaction: u32, request: &Request) -> Vec<Sent> {
        let mut sent = Vec::new();
        let answer = match request {
            Request::Watch(..) | Request::Unwatch(..) => return self.ask_about_watches(who, request),
            _ if transaction != 0 && !self.transactions.contains_key(&(who, transaction)) => Err("ENOENT"),
            Request::Start if transaction != 0 => Err("EBUSY"),
            Request::Start => Ok(self.start(who)),
            Request::End(_) if transaction == 0 => Err("ENOENT"),
            Request::End(commit) => self.end(who, transaction, *commit, &mut sent),
            _ => self.ask_about_nodes(who, transaction, request, &mut sent),
        };
        sent.push(Sent::Answer(who, answer));
        sent
    }

    fn start(&mut self, who: Domid) -> String {
        let next = self.next.entry(who).or_insert(1);
        let number = *next;
        *next += 1;
        let (nodes, touched) = (self.nodes.clone(), Vec::new());
        let transaction = Transaction { nodes, touched, changed: BTreeSet::new(), fires: BTreeMap::new() };
        self.transactions.insert((who, number), transaction);
        format!("{number}\0")
    }

    fn ask_about_watches(&mut self, who: Domid, request: &Request) -> Vec<Sent> {
        let ok = || Sent::Answer(who, Ok("OK\0".to_owned()));
        let (Request::Watch(path, token) | Request::Unwatch(path, token)) = request else {
            return Vec::new();
        };
        let watch = (who, path.clone(), token.clone());
        let found = self.watches.iter().position(|other| *other == watch);
        match (request, found) {
            (Request::Watch(..), Some(_)) => vec![Sent::Answer(who, Err("EEXIST"))],
            (Request::Watch(..), None) => {
                self.watches.push(watch);
                vec![ok(), Sent::Event(who, path.clone(), token.clone())]
            }
            (_, None) => vec![Sent::Answer(who, Err("ENOENT"))],
            (_, Some(at)) => {
                self.watches.remove(at);
                vec![ok()]
            }
        }
    }

    fn ask_about_nodes(
        &mut self,
        who: Domid,
        transaction: u32,
        request: &Request,
        sent: &mut Vec<Sent>,
    ) -> Result<String, &'static str> {
        let mut open = self.transactions.remove(&(who, transaction));
        let mut nodes = match &mut open {
            Some(open) => core::mem::take(&mut open.nodes),
            None => self.nodes.clone(),
        };
        // A transaction sees each node as it was when it was first touched.
        if let Some(open) = &open {
            let untouched = |path: &String| open.touched.iter().all(|(touched, _)| touched != path);
            nodes.retain(|path, _| !untouched(path));
            nodes.extend(
                self.nodes.iter().filter(|(path, _)| untouched(path)).map(|(p, n)| (p.clone(), n.clone())),
            );
        }
        let before = nodes.clone();
        let mut view = View {
            who,
            nodes: &mut nodes,
            transaction: open.as_mut().map(|open| (&mut open.touched, &mut open.changed)),
            version: &mut self.version,
        };
        let mut fires = Vec::new();
        let answer = carry_out(&mut view, request, &mut fires);
        match open {
            Some(mut open) => {
                open.nodes = nodes;
                for (path, exactly) in fires {
                    let fire = open.fires.entry(path).or_insert(true);
                    *fire &= exactly;
                }
                self.transactions.insert((who, transaction), open);
            }
            None => {
                self.nodes = nodes;
                let is_removal = matches!(request, Request::Rm(_));
                let old = matches!(request, Request::SetPerms(..));
                if is_removal {
                    fires = bottom_up(fires, &before);
                }
                for (path, exactly) in fires {
                    let original = before.get(&path).filter(|_| old).cloned();
                    let now = if is_removal { &before } else { &self.nodes };
                    self.fire(&path, exactly, original.as_ref(), now, sent);
                }
            }
        }
        answer
    }

    fn fire(&self, path: &str, exactly: bool, original: Option<&Node>, nodes: &Nodes, sent: &mut Vec<Sent>) {
        for (who, watched, token) in &self.watches {
            let matches = if exactly { path == watched } else { is_within(path, watched) };
            let can_read = |node: Option<&Node>| node.is_some_and(|node| rights(*who, &node.permissions).0);
            let now = nodes.get(path);
            let may_hear = can_read(original)
                || (now.is_some() && (can_read(now) || can_read(nodes.get(&parent(path)))));
            if matches && may_hear {
                sent.push(Sent::Event(*who, path.to_owned(), token.clone()));
            }
        }
    }

    fn end(
        &mut self,
        who: Domid,
        transaction: u32,
        commit: bool,
        sent: &mut Vec<Sent>,
    ) -> Result<String, &'static str> {
        let open = self.transactions.remove(&(who, transaction)).expect("it is open");
        if !commit {
            return Ok("OK\0".to_owned());
        }
        let version = |node: Option<&Node>| node.map(|node| node.version);
        if open.touched.iter().any(|(path, found)| version(self.nodes.get(path)) != version(found.as_ref())) {
            return Err("EAGAIN");
        }
        for path in &open.changed {
            match open.nodes.get(path) {
                Some(node) => {
                    self.version += 1;
                    self.nodes.insert(path.clone(), Node { version: self.version, ..node.clone() });
                }
                None => {
                    self.nodes.remove(path);
                }
            }
        }
        for (path, original) in &open.touched {
            if let Some(&exactly) = open.fires.get(path) {
                self.fire(path, exactly, original.as_ref(), &self.nodes, sent);
            }
        }
        Ok("OK\0".to_owned())
    }
}

/// The nodes of a removed tree in the order in which they go: those below first.
fn bottom_up(fires: Vec<(String, bool)>, nodes: &Nodes) -> Vec<(String, bool)> {
    fn visit(path: &str, nodes: &Nodes, order: &mut Vec<String>) {
        for name in &nodes[path].children {
            visit(&child(path, name), nodes, order);
        }
        order.push(path.to_owned());
    }
    let mut order = Vec::new();
    if let Some((top, _)) = fires.first() {
        visit(top, nodes, &mut order);
    }
    let top = order.last().cloned();
    order.into_iter().map(|path| (path.clone(), Some(path) != top)).collect()
}

fn print(permissions: &[Permission]) -> String {
    let letter = |read, write| match (read, write) {
        (false, false) => 'n',
        (true, false) => 'r',
        (false, true) => 'w',
        (true, true) => 'b',
    };
    permissions.iter().map(|&(domid, read, write)| format!("{}{domid}\0", letter(read, write))).collect()
}

fn carry_out(
    view: &mut View<'_>,
    request: &Request,
    fires: &mut Vec<(String, bool)>,
) -> Result<String, &'static str> {
    let ok = Ok("OK\0".to_owned());
    match request {
        Request::Read(path) => view.get(path, Wanted::Read).map(|node| node.value),
        Request::Directory(path) => {
            let node = view.get(path, Wanted::Read)?;
            Ok(node.children.iter().map(|name| format!("{name}\0")).collect())
        }
        Request::GetPerms(path) => view.get(path, Wanted::Read).map(|node| print(&node.permissions)),
        Request::Write(path, value) => {
            match view.get(path, Wanted::Write) {
                Ok(node) => view.put(path, Node { value: value.clone(), ..node }),
                Err("ENOENT") => view.create(path, value),
                Err(error) => return Err(error),
            }
            fires.push((path.clone(), false));
            ok
        }
        Request::Mkdir(path) => {
            match view.get(path, Wanted::Write) {
                Ok(_) => {}
                Err("ENOENT") => {
                    view.create(path, "");
                    fires.push((path.clone(), false));
                }
                Err(error) => return Err(error),
            }
            ok
        }
        Request::Rm(path) => {
            match view.get(path, Wanted::Write) {
                Ok(_) if path == "/" => return Err("EINVAL"),
                Ok(_) => {
                    fires.extend(view.remove(path)?.into_iter().map(|gone| (gone.clone(), gone != *path)))
                }
                Err("ENOENT") => {
                    view.see(&parent(path)).ok_or("ENOENT")?;
                }
                Err(error) => return Err(error),
            }
            ok
        }
        Request::SetPerms(path, permissions) => {
            let node = view.get(path, Wanted::Own)?;
            if view.who != 0 && permissions[0].0 != node.permissions[0].0 {
                return Err("EPERM");
            }
            view.put(path, Node { permissions: permissions.clone(), ..node });
            fires.push((path.clone(), false));
            ok
        }
        Request::Watch(..) | Request::Unwatch(..) | Request::Start | Request::End(_) => ok,
    }
}
