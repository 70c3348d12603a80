package import ApusCore
import Glibc
import Synchronization

/// Names: what is in which directory, and what of it survives a power cut.
extension PosixDisk {
    package func rename(_ file: DiskPath, to name: DiskPath) throws(DiskError) {
        precondition(file.isBelowRoot && name.isBelowRoot)
        try systemCall("rename", file) { renameat(self.root, file.relative, self.root, name.relative) }
        self.files.rename(file, to: name).map(self.discard)
        self.directories.forget(file)
    }

    package func remove(_ file: DiskPath) throws(DiskError) {
        precondition(file.isBelowRoot)
        try systemCall("remove", file) { unlinkat(self.root, file.relative, 0) }
        self.files.forget(file).map(self.discard)
    }

    /// A directory that is there already may have been made by a process that was killed before it could sync the one
    /// above, so every step down is synced once in the life of this disk, found or made.
    package func createDirectory(_ directory: DiskPath) throws(DiskError) {
        for path in try self.makeDirectories(directory) {
            try self.syncDirectory(path.directory)
            self.directories.insert(path)
        }
    }

    package func areDurable(_ directories: [DiskPath]) {
        for path in directories { self.directories.insert(path) }
    }

    package func makeDirectories(_ directory: DiskPath) throws(DiskError) -> [DiskPath] {
        precondition(directory.isBelowRoot)
        var unsynced: [DiskPath] = []
        var path = DiskPath.root
        for part in directory.rawValue.split(separator: "/") {
            path = path.appending(String(part))
            guard !self.directories.isDurable(path) else { continue }
            try self.makeDirectory(path)
            unsynced.append(path)
        }
        return unsynced
    }

    private func makeDirectory(_ path: DiskPath) throws(DiskError) {
        do throws(DiskError) {
            try systemCall("create directory", path) { mkdirat(self.root, path.relative, 0o750) }
        } catch {
            guard error.reason == .exists else { throw error }
            _ = Glibc.close(try self.openDirectory(path, "create directory"))
        }
    }

    package func removeDirectory(_ directory: DiskPath) throws(DiskError) {
        precondition(directory.isBelowRoot && directory != .root)
        try self.removeTree(directory)
        self.directories.forget(directory)
        for file in self.files.forget(below: directory) { self.discard(file) }
    }

    /// Children before parents; what is not a directory is unlinked without being looked into, links too.
    private func removeTree(_ directory: DiskPath) throws(DiskError) {
        for entry in try self.entries(of: directory, "remove directory") {
            let path = directory.appending(entry)
            do throws(DiskError) {
                try systemCall("remove directory", path) { unlinkat(self.root, path.relative, 0) }
            } catch {
                switch error.reason {
                case .failed(EISDIR): try self.removeTree(path)
                case .notFound: continue
                default: throw error
                }
            }
        }
        do throws(DiskError) {
            try systemCall("remove directory", directory) {
                unlinkat(self.root, directory.relative, AT_REMOVEDIR)
            }
        } catch {
            guard error.reason == .notFound else { throw error }
        }
    }

    package func syncDirectory(_ directory: DiskPath) throws(DiskError) {
        if self.files.isDead(directory) { throw DiskError(.dead, "sync directory", directory) }
        let descriptor = try self.openDirectory(directory, "sync directory")
        defer { _ = Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else {
            let number = errno
            self.files.markDead(directory)
            throw DiskError(errno: number, "sync directory", directory)
        }
    }

    package func list(_ directory: DiskPath) throws(DiskError) -> [String] {
        try self.entries(of: directory, "list").sorted()
    }

    private func entries(of directory: DiskPath, _ operation: String) throws(DiskError) -> [String] {
        let descriptor: Int32
        do throws(DiskError) {
            descriptor = try self.openDirectory(directory, operation)
        } catch {
            guard error.reason == .notFound else { throw error }
            return []
        }
        guard let stream = fdopendir(descriptor) else {
            let number = errno
            _ = Glibc.close(descriptor)
            throw DiskError(errno: number, operation, directory)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            // readdir tells its end and an error apart only by errno.
            errno = 0
            guard let entry = readdir(stream) else { break }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { place in
                place.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        if errno != 0 { throw DiskError(errno: errno, operation, directory) }
        return names
    }

    private func openDirectory(_ path: DiskPath, _ operation: String) throws(DiskError) -> Int32 {
        precondition(path.isBelowRoot)
        return try systemCall(operation, path) {
            openat(self.root, path.relative, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
        }
    }
}

/// The directories whose names are known to be durable, so that making a partition's directory does not sync the ones
/// above it again and again.
final class DirectoryMemory: Sendable {
    /// Forgetting costs a sync, remembering costs memory for a million partitions; the few near the root pay.
    private static let directoriesMax = 4096

    private let durable = Mutex<Set<DiskPath>>([])

    func isDurable(_ directory: DiskPath) -> Bool {
        self.durable.withLock { $0.contains(directory) }
    }

    func insert(_ directory: DiskPath) {
        self.durable.withLock { durable in
            if durable.count >= Self.directoriesMax { durable.removeAll(keepingCapacity: true) }
            durable.insert(directory)
        }
    }

    /// A directory was removed or has another name: nothing at or below its old name is known any more.
    func forget(_ directory: DiskPath) {
        let prefix = directory.rawValue + "/"
        self.durable.withLock { durable in
            guard durable.contains(directory) || durable.contains(where: { $0.rawValue.hasPrefix(prefix) }) else {
                return
            }
            durable = durable.filter { $0 != directory && !$0.rawValue.hasPrefix(prefix) }
        }
    }
}
