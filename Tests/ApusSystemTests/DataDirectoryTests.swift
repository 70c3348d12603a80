import ApusCore
import ApusSystem
import Glibc
import NIOCore
import Testing

@Suite struct DataDirectoryTests {
    private let directory: TemporaryDirectory
    private var path: String { "\(self.directory.path)/data" }
    private let identity = DirectoryIdentity(
        clusterID: "a\"b\\c\u{1}ü", brokerID: BrokerID(rawValue: 3), createdAt: Timestamp(rawValue: 1_700_000_000_000))

    init() throws {
        self.directory = try TemporaryDirectory()
    }

    private func initialised(clean: Bool = false) throws {
        let data = try DataDirectory(at: self.path)
        try data.disk.createDirectory(DiskPath("topics"))
        try data.initialise(self.identity)
        if clean { try data.writeEnds(ByteBuffer(string: "all")) }
    }

    /// Writes a file into the data directory behind everybody's back.
    private func plant(_ name: String, _ text: String) throws {
        let disk = try PosixDisk(below: self.path)
        if try disk.list(.root).contains(name) { try disk.remove(DiskPath(name)) }
        try disk.create(DiskPath(name))
        try disk.write([ByteBuffer(string: text)], to: DiskPath(name), at: .start)
    }

    private func text(of name: String) throws -> String {
        String(buffer: try PosixDisk(below: self.path).read(DiskPath(name), at: .start, upTo: .kibibytes(64)))
    }

    private func names() throws -> [String] { try PosixDisk(below: self.path).list(.root) }

    @Test("a new directory is made, becomes ours, and says so at the next start")
    func firstUse() throws {
        do {
            let data = try DataDirectory(at: self.path)
            #expect(data.identity == nil)
            #expect(try data.ends.get() == nil)
            try data.initialise(self.identity)
        }
        let again = try DataDirectory(
            at: self.path, brokerID: self.identity.brokerID, clusterID: self.identity.clusterID, mustHoldData: true)
        #expect(again.identity == self.identity)
    }

    @Test("what anybody may read is told: the directory, and in one that anybody may enter the stores")
    func readableByAll() throws {
        try self.initialised()
        #expect(try DataDirectory(at: self.path).readableByAll.isEmpty)
        try self.plant("store.sqlite", "")
        try self.plant("catalogue.sqlite", "")
        let store = "\(self.path)/store.sqlite"
        func found(_ directory: mode_t, _ file: mode_t) throws -> [String] {
            try #require(chmod(self.path, directory) == 0 && chmod(store, file) == 0)
            return try DataDirectory(at: self.path).readableByAll
        }
        #expect(try found(0o755, 0o644) == [self.path, store])
        #expect(try found(0o755, 0o600) == [self.path])
        #expect(try found(0o711, 0o604) == [store])
        #expect(try found(0o750, 0o644) == [])
    }

    @Test("a first start that was killed half-way is begun again")
    func unfinished() throws {
        _ = try DataDirectory(at: self.path)
        try self.plant("store.sqlite", "")
        try self.plant("store.sqlite-wal", "")
        try self.plant("broker.json.new", "{")
        try self.plant("ballast", "")
        try self.plant("journal.0", "")
        let data = try DataDirectory(at: self.path)
        #expect(data.identity == nil)
        try data.initialise(self.identity)
    }

    @Test("let go of, the directory is another's at once, whoever still has a reference to the first holder")
    func letGo() throws {
        let first = try DataDirectory(at: self.path)
        first.letGo()
        let second = try DataDirectory(at: self.path)
        #expect(throws: DataDirectoryError.inUse(path: self.path, process: getpid())) {
            try DataDirectory(at: self.path)
        }
        withExtendedLifetime((first, second)) {}
    }

    @Test("a second holder is refused with the first one's process id, until the first lets go")
    func secondInstance() throws {
        var first: DataDirectory? = try DataDirectory(at: self.path)
        let refusal = DataDirectoryError.inUse(path: self.path, process: getpid())
        #expect(throws: refusal) { try DataDirectory(at: self.path) }
        #expect("\(refusal)".contains("in use by process \(getpid())"))
        try withExtendedLifetime(first) { try first?.initialise(self.identity) }
        #expect(throws: refusal) { try DataDirectory(at: self.path) }
        first = nil
        _ = try DataDirectory(at: self.path)
    }

    @Test("a directory of another broker or cluster is refused, and nothing in it changes")
    func others() throws {
        try self.initialised(clean: true)
        #expect(
            throws: DataDirectoryError.otherBroker(
                path: self.path, found: self.identity.brokerID, expected: BrokerID(rawValue: 4))
        ) { try DataDirectory(at: self.path, brokerID: BrokerID(rawValue: 4)) }
        #expect(
            throws: DataDirectoryError.otherCluster(path: self.path, found: self.identity.clusterID, expected: "other")
        ) { try DataDirectory(at: self.path, clusterID: "other") }
        #expect(try DataDirectory(at: self.path).ends.get() == ByteBuffer(string: "all"))
    }

    @Test("a newer format is refused by its number")
    func newer() throws {
        try self.initialised()
        let text = try self.text(of: "broker.json").replacing("\"formatVersion\": 1", with: "\"formatVersion\": 2")
        try self.plant("broker.json", text)
        #expect(throws: DataDirectoryError.newerFormat(path: self.path, format: 2)) { try DataDirectory(at: self.path) }
    }

    @Test("an identity with any one bit flipped is never taken for another", arguments: 0..<8)
    func damagedIdentity(bit: Int) throws {
        try self.initialised()
        let text = try self.text(of: "broker.json")
        for place in 0..<text.utf8.count {
            var bytes = Array(text.utf8)
            bytes[place] ^= UInt8(1 << bit)
            let disk = try PosixDisk(below: self.path)
            try disk.write([ByteBuffer(bytes: bytes)], to: DiskPath("broker.json"), at: .start)
            // A flipped space between two fields is no damage; another identity would be.
            let found = Result { try DataDirectory(at: self.path).identity }
            if case .success(let identity) = found { #expect(identity == self.identity) }
        }
    }

    @Test("an identity that is empty, zeroed or no text is refused", arguments: ["", "\0\0\0\0", "{}", "[1]", "null"])
    func unreadableIdentity(text: String) throws {
        try self.initialised()
        try self.plant("broker.json", text)
        #expect(throws: DataDirectoryError.identityDamaged(path: self.path, "it does not read as ours")) {
            try DataDirectory(at: self.path)
        }
    }

    @Test("topics without an identity are refused, and so is a directory of somebody else's files")
    func notOurs() throws {
        try self.initialised()
        let disk = try PosixDisk(below: self.path)
        try disk.remove(DiskPath("broker.json"))
        #expect(throws: DataDirectoryError.identityMissing(path: self.path)) { try DataDirectory(at: self.path) }
        try disk.removeDirectory(DiskPath("topics"))
        try self.plant("thesis.tex", "years of work")
        #expect(throws: DataDirectoryError.notOurs(path: self.path, found: "thesis.tex")) {
            try DataDirectory(at: self.path)
        }
        #expect(try self.text(of: "thesis.tex") == "years of work")
    }

    @Test("the mount point of a missing disk is refused where data must be, and is left as it is")
    func emptyMount() throws {
        #expect(throws: DataDirectoryError.emptyButExpected(path: self.path)) {
            try DataDirectory(at: self.path, mustHoldData: true)
        }
        try PosixDisk(below: self.directory.path).createDirectory(DiskPath("data"))
        #expect(throws: DataDirectoryError.emptyButExpected(path: self.path)) {
            try DataDirectory(at: self.path, mustHoldData: true)
        }
        #expect(try self.names() == [])
    }

    @Test("a file in its place, and a missing directory above, are each named")
    func places() throws {
        let disk = try PosixDisk(below: self.directory.path)
        try disk.create(DiskPath("data"))
        #expect(throws: DataDirectoryError.notADirectory(path: self.path)) { try DataDirectory(at: self.path) }
        let deep = "\(self.directory.path)/missing/data"
        #expect(throws: DataDirectoryError.cannotCreate(path: deep, "No such file or directory")) {
            try DataDirectory(at: deep)
        }
    }

    @Test(
        "data of another user is refused, also by root", .enabled(if: geteuid() == 0, "needs root to give files away"))
    func wrongOwner() throws {
        try self.initialised()
        #expect(chown("\(self.path)/broker.json", 65534, 65534) == 0)
        #expect(throws: DataDirectoryError.wrongOwner(path: self.path, owner: 65534, us: 0)) {
            try DataDirectory(at: self.path)
        }
    }

    @Test("the list of ends is told until another takes its place, and a half-written one is not")
    func ends() throws {
        try self.initialised()
        #expect(try DataDirectory(at: self.path).ends.get() == nil)
        for text in ["first", "second, longer", "3rd"] {
            try self.plant("ends.new", "half of some")
            try DataDirectory(at: self.path).writeEnds(ByteBuffer(string: text))
            for _ in 0..<2 { #expect(try DataDirectory(at: self.path).ends.get() == ByteBuffer(string: text)) }
        }
        #expect(try self.names().contains("ends.new") == false)
    }

    @Test("the ballast takes its space, gives it back, and takes it again")
    func ballast() throws {
        let data = try DataDirectory(at: self.path)
        let file = "\(self.path)/ballast"
        var status = stat()
        for _ in 0..<2 {
            #expect(try data.takeBallast(.mebibytes(1)))
            #expect(stat(file, &status) == 0 && status.st_blocks >= 2048)
            #expect(try data.takeBallast(.mebibytes(1)))
            try data.dropBallast()
            #expect(stat(file, &status) == 0 && status.st_blocks == 0)
        }
    }

    @Test("a cluster's id is 22 characters that need no quoting anywhere")
    func clusterID() {
        let ids = (0..<100).map { _ in DirectoryIdentity.newClusterID(from: SystemRandomness()) }
        #expect(Set(ids).count == 100)
        #expect(
            ids.allSatisfy {
                $0.count == 22 && $0.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) }
            })
    }
}
