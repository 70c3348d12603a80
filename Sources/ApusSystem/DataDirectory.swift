package import ApusCore
import Glibc
package import NIOCore

/// The directory everything durable is in, held by one process at a time:
///
///     lock           held with flock while a broker serves; its process id inside
///     broker.json    whose data it is (``DirectoryIdentity``); written last when the directory is first used, so a
///                    directory without it was never served
///     ends           where every log ended when a broker was last stopped in order, and whether all was whole then
///     ballast        space set aside, to be given back when the disk is full
///     store.sqlite   the coordinator store
///     catalogue.sqlite  consumers, subscriptions and their audit trail; made by the first broker that serves
///     topics/        the logs
///
/// Opening refuses whatever is not plainly ours, and changes nothing then. What it can not know is whether an empty
/// directory is new or the mount point of a disk that is missing: where that matters, say `mustHoldData`.
package final class DataDirectory: Sendable {
    package static let storeName = "store.sqlite"
    package static let catalogueName = "catalogue.sqlite"
    package static let topicsName = "topics"

    private static let ends = DiskPath("ends")
    private static let endsDraft = DiskPath("ends.new")
    private static let ballast = DiskPath("ballast")
    private static let identityFile = DiskPath(DirectoryIdentity.fileName)
    private static let identityDraft = DiskPath(DirectoryIdentity.fileName + ".new")

    package let path: String
    package let disk: PosixDisk
    /// Nil: the directory is new, and ``initialise(_:)`` makes it ours.
    package let identity: DirectoryIdentity?
    /// What the last process that stopped in order wrote with ``writeEnds(_:)``; nil when none did. A failure to read
    /// it is no reason not to start.
    package let ends: Result<ByteBuffer?, DiskError>
    /// What in it anybody on this machine may read: paths. What we make is not among it.
    package let readableByAll: [String]
    private let lock: DirectoryLock

    package var storePath: String { "\(self.path)/\(Self.storeName)" }
    package var cataloguePath: String { "\(self.path)/\(Self.catalogueName)" }

    // MARK: Opening

    /// Takes the directory for this process, making it when there is none. Blocking.
    ///
    /// - Parameters:
    ///   - brokerID, clusterID: what the directory must say when it says anything; nil takes what it says.
    ///   - mustHoldData: refuse a directory that is missing or new.
    package init(
        at path: String, brokerID: BrokerID? = nil, clusterID: String? = nil, mustHoldData: Bool = false,
        openFilesMax: Int = Limits.openFilesMax
    ) throws(DataDirectoryError) {
        try Self.make(path, mustHoldData: mustHoldData)
        let disk: PosixDisk
        do throws(DiskError) {
            disk = try PosixDisk(below: path, openFilesMax: openFilesMax)
        } catch {
            throw .failed(path: path, "\(error)")
        }
        guard faccessat(disk.root, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0 else { throw .notWritable(path: path) }
        // Once before the lock, which leaves a file behind; once after, since somebody may have been quicker.
        if try Self.identity(in: path, disk, brokerID: brokerID, clusterID: clusterID) == nil, mustHoldData {
            throw .emptyButExpected(path: path)
        }
        self.lock = try DirectoryLock(path, below: disk.root)
        self.identity = try Self.identity(in: path, disk, brokerID: brokerID, clusterID: clusterID)
        self.ends = Result { () throws(DiskError) in try Self.readEnds(disk) }
        self.readableByAll = Self.readableByAll(path)
        self.path = path
        self.disk = disk
    }

    private static func readableByAll(_ path: String) -> [String] {
        func mode(_ path: String) -> mode_t {
            var status = stat()
            return stat(path, &status) == 0 ? status.st_mode : 0
        }
        let directory = mode(path)
        var open = directory & S_IROTH != 0 ? [path] : []
        // Behind a directory that nobody may enter a file's own rights do not matter.
        guard directory & S_IXOTH != 0 else { return open }
        open += [self.storeName, self.catalogueName].map { "\(path)/\($0)" }.filter { mode($0) & S_IROTH != 0 }
        return open
    }

    /// Only the last part of the path is made: a missing parent is more likely a missing mount.
    private static func make(_ path: String, mustHoldData: Bool) throws(DataDirectoryError) {
        var status = stat()
        if stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else { throw .notADirectory(path: path) }
            return
        }
        let number = errno
        guard number == ENOENT else { throw .failed(path: path, systemText(number)) }
        if mustHoldData { throw .emptyButExpected(path: path) }
        guard mkdir(path, 0o750) == 0 else { throw .cannotCreate(path: path, systemText(errno)) }
        // Its name in the directory above, so that a power cut does not leave us serving a directory nobody can find.
        let parent = open("\(path)/..", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard parent >= 0 else { throw .failed(path: path, "the directory above: \(systemText(errno))") }
        defer { _ = Glibc.close(parent) }
        guard fsync(parent) == 0 else { throw .failed(path: path, "sync of the directory above: \(systemText(errno))") }
    }

    private static func identity(
        in path: String, _ disk: PosixDisk, brokerID: BrokerID?, clusterID: String?
    ) throws(DataDirectoryError) -> DirectoryIdentity? {
        let names: [String]
        var bytes = ByteBuffer()
        do throws(DiskError) {
            names = try disk.list(.root)
            if names.contains(DirectoryIdentity.fileName) {
                bytes = try disk.read(self.identityFile, at: .start, upTo: .kibibytes(64))
            }
        } catch {
            throw error.reason == .forbidden ? .notWritable(path: path) : .failed(path: path, "\(error)")
        }
        guard names.contains(DirectoryIdentity.fileName) else {
            try self.checkNew(path, names)
            return nil
        }
        try self.checkOwner(path, disk)
        let identity: DirectoryIdentity
        do throws(DirectoryIdentity.Refusal) {
            identity = try DirectoryIdentity(reading: Array(bytes.readableBytesView))
        } catch {
            switch error {
            case .newer(let format): throw .newerFormat(path: path, format: format)
            case .damaged(let what): throw .identityDamaged(path: path, what)
            }
        }
        if let brokerID, brokerID != identity.brokerID {
            throw .otherBroker(path: path, found: identity.brokerID, expected: brokerID)
        }
        if let clusterID, clusterID != identity.clusterID {
            throw .otherCluster(path: path, found: identity.clusterID, expected: clusterID)
        }
        return identity
    }

    /// A directory without an identity may hold what a first start leaves when it is killed half-way, and nothing else.
    private static func checkNew(_ path: String, _ names: [String]) throws(DataDirectoryError) {
        if names.contains(self.topicsName) { throw .identityMissing(path: path) }
        let ours =
            [DirectoryLock.fileName, self.ballast.name, self.identityDraft.name] + JournaledDisk.files.map(\.name)
        let foreign = names.first { name in
            // A file system of its own begins with this one.
            name != "lost+found" && !ours.contains(name) && !name.hasPrefix(self.storeName)
        }
        if let foreign { throw .notOurs(path: path, found: foreign) }
    }

    private static func checkOwner(_ path: String, _ disk: PosixDisk) throws(DataDirectoryError) {
        var status = stat()
        guard fstatat(disk.root, self.identityFile.rawValue, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw .failed(path: path, systemText(errno))
        }
        // Also for root: what it wrote here, the owner could not read at his next start.
        guard status.st_uid == geteuid() else {
            throw .wrongOwner(path: path, owner: status.st_uid, us: geteuid())
        }
    }

    private static func readEnds(_ disk: PosixDisk) throws(DiskError) -> ByteBuffer? {
        do throws(DiskError) {
            let size = min(try disk.size(of: self.ends), Limits.endsFileBytesMax)
            let bytes = try disk.read(self.ends, at: .start, upTo: size)
            disk.close(self.ends)
            return bytes
        } catch {
            guard error.reason == .notFound else { throw error }
            return nil
        }
    }

    // MARK: While it is ours

    /// Makes a new directory ours, durably. Called last, when everything else that a first start makes is there.
    package func initialise(_ identity: DirectoryIdentity) throws(DiskError) {
        precondition(self.identity == nil, "this directory has an identity")
        try self.replace(Self.identityFile, with: ByteBuffer(string: identity.text), through: Self.identityDraft)
    }

    /// Leaves word of where the logs ended, in place of what was said before. Called when they were closed, last of
    /// all.
    package func writeEnds(_ ends: ByteBuffer) throws(DiskError) {
        try self.replace(Self.ends, with: ends, through: Self.endsDraft)
    }

    /// Durably, and as a whole: a crash leaves the old content or the new.
    private func replace(
        _ file: DiskPath, with content: ByteBuffer, through draft: DiskPath
    ) throws(DiskError) {
        do throws(DiskError) {
            try self.disk.remove(draft)
        } catch {
            guard error.reason == .notFound else { throw error }
        }
        try self.disk.create(draft)
        try self.disk.write([content], to: draft, at: .start)
        try self.disk.sync(draft)
        self.disk.close(draft)
        try self.disk.rename(draft, to: file)
        try self.disk.syncDirectory(.root)
    }

    /// Another process may take it from here on: nothing of ours is touched any more. Said by who stops, and not left
    /// to the last reference, which a thread may hold for a moment longer.
    package func letGo() {
        self.lock.release()
    }

    // MARK: Ballast

    /// Sets the reserve aside, unless it is there. False: there is no room for it now.
    package func takeBallast(_ size: ByteCount = Limits.ballastBytes) throws(DiskError) -> Bool {
        do throws(DiskError) {
            if try self.disk.list(.root).contains(Self.ballast.name) == false { try self.disk.create(Self.ballast) }
            try self.disk.allocate(Self.ballast, upTo: size)
            self.disk.close(Self.ballast)
            return true
        } catch {
            guard error.reason == .full else { throw error }
            self.disk.close(Self.ballast)
            return false
        }
    }

    /// Gives the reserve back, for what must be written on a full disk.
    package func dropBallast() throws(DiskError) {
        do throws(DiskError) {
            try self.disk.truncate(Self.ballast, to: .zero)
            self.disk.close(Self.ballast)
        } catch {
            guard error.reason == .notFound else { throw error }
        }
    }
}
