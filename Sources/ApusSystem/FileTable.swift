import ApusCore

/// The descriptors that ``PosixDisk`` holds open, which of them have writes that were not synced, and which files are
/// dead.
///
/// A million partitions must not need a million descriptors, so idle ones are closed, the least recently used first.
/// What makes that safe is one rule: **a file with unsynced writes is closed only after a successful fdatasync.** The
/// kernel tells of a failed write-back once, to descriptors that were open when it failed; whoever closes before asking
/// may never hear of it, and the next fsync of a new descriptor says that all is well.
///
/// Least recently used alone would thrash: a thousand partitions written in turn, through a table of nine hundred,
/// would open, sync and close a file for every write. So a file is idle only after some thousands of uses of others,
/// and the table grows beyond its size, up to a hard limit, while everything in it is in use.
///
/// Every method is a few steps under one lock. System calls are made outside it, while the file is *pinned*: a pinned
/// file is not closed, whatever happens to its name.
final class FileTable: Sendable {
    fileprivate struct State {
        var files: [DiskPath: OpenFile] = [:]
        /// A sync of these failed, so nothing written to them can be trusted. They outlive their descriptors.
        var dead: Set<DiskPath> = []
        var uses: UInt64 = 0
        var nextChoiceAt: UInt64 = 0
    }

    private let state = Guarded(State())

    /// The open file of this name, pinned; nil when it must be opened first.
    ///
    /// A pin for `.change` counts as an unsynced write from now on, so that no eviction can slip between the pin and
    /// the write. Throws `.dead` for a change or sync of a dead file.
    func pin(_ path: DiskPath, for use: FileUse, _ operation: String) throws(DiskError) -> OpenFile? {
        try self.state.withLock { (state) throws(DiskError) -> OpenFile? in
            if use != .read, state.dead.contains(path) { throw DiskError(.dead, operation, path) }
            // A descriptor opened while the file system was read-only is of no use for a change; try again.
            guard let file = state.files[path], file.isWritable || use != .change else { return nil }
            state.pin(file, for: use)
            return file
        }
    }

    /// Takes in a descriptor just opened, and pins it. When another thread was quicker, its file is pinned instead.
    /// Answers also the descriptor that is of no use any more, for the caller to close.
    func adopt(
        _ descriptor: Int32, isWritable: Bool, as path: DiskPath, for use: FileUse
    ) -> (file: OpenFile, useless: Int32?) {
        self.state.withLock { state in
            if let file = state.files[path], file.isWritable || !isWritable {
                state.pin(file, for: use)
                return (file, descriptor)
            }
            let replaced = state.detach(path)
            let file = OpenFile(descriptor, isWritable: isWritable, path: path)
            state.files[path] = file
            state.pin(file, for: use)
            return (file, replaced?.descriptor)
        }
    }

    /// The open file of this name, pinned as if to sync it; nil when it is not open.
    func pinIfOpen(_ path: DiskPath) -> OpenFile? {
        self.state.withLock { state in
            guard let file = state.files[path] else { return nil }
            state.pin(file, for: .sync)
            return file
        }
    }

    /// Ends a pin. True: nobody can reach the file any more, the caller closes the descriptor.
    func unpin(_ file: OpenFile, after use: FileUse) -> Bool {
        self.state.withLock { _ in
            file.pins -= 1
            if use == .change { file.writers -= 1 }
            return file.isDetached && file.pins == 0
        }
    }

    // MARK: Syncs

    /// What a sync that begins now will cover: every change that has ended. Changes still under way may be missed.
    func syncBegins(_ file: OpenFile) -> UInt64 {
        self.state.withLock { _ in file.writers == 0 ? file.changes : file.changesSynced }
    }

    func syncSucceeded(_ file: OpenFile, covering changes: UInt64) {
        self.state.withLock { _ in file.changesSynced = max(file.changesSynced, changes) }
    }

    /// From now on every change and sync of this file is refused, and its descriptor is closed with its last pin.
    func syncFailed(_ file: OpenFile) {
        self.state.withLock { state in
            guard !file.isDetached else { return }
            state.dead.insert(file.path)
            state.detach(file.path)
        }
    }

    func markDead(_ path: DiskPath) {
        self.state.withLock { _ = $0.dead.insert(path) }
    }

    func isDead(_ path: DiskPath) -> Bool {
        self.state.withLock { $0.dead.contains(path) }
    }

    // MARK: Names

    /// A new file has this name: whatever was known of the old one is void.
    func forget(_ path: DiskPath) -> OpenFile? {
        self.state.withLock { state in
            state.dead.remove(path)
            return state.detach(path)
        }
    }

    /// Everything below a directory that was removed. Answers the files whose descriptors the caller closes.
    func forget(below directory: DiskPath) -> [OpenFile] {
        let prefix = directory.rawValue + "/"
        return self.state.withLock { state in
            state.dead = state.dead.filter { $0 != directory && !$0.rawValue.hasPrefix(prefix) }
            let paths = state.files.keys.filter { $0.rawValue.hasPrefix(prefix) }
            return paths.compactMap { state.detach($0) }
        }
    }

    /// A file or directory has another name now. Answers the file that had that name, when the caller must close it.
    func rename(_ old: DiskPath, to new: DiskPath) -> OpenFile? {
        self.state.withLock { state in
            let replaced = state.detach(new)
            state.dead.remove(new)
            if state.dead.remove(old) != nil { state.dead.insert(new) }
            if let file = state.files.removeValue(forKey: old) {
                file.path = new
                state.files[new] = file
            } else {
                state.moveAll(below: old, to: new)
            }
            return replaced
        }
    }

    func path(of file: OpenFile) -> DiskPath {
        self.state.withLock { _ in file.path }
    }

    // MARK: Room

    var count: Int { self.state.withLock { $0.files.count } }

    func hasUnsyncedChanges(_ file: OpenFile) -> Bool {
        self.state.withLock { _ in file.hasUnsyncedChanges }
    }

    /// Empties the table. The files are the caller's to close.
    func removeAll() -> [OpenFile] {
        self.state.withLock { state in
            defer { state.files.removeAll() }
            return Array(state.files.values)
        }
    }

    /// Chooses what to close: idle files without unsynced writes, the least recently used first; they are detached and
    /// theirs to close. When there are none, idle files that need a sync first, pinned for it.
    ///
    /// Idle is what was not among the last `uses` uses. None is: then nothing is chosen, and the next choice is not
    /// worth making before that many more uses.
    func victims(
        clean cleanMax: Int, unsynced unsyncedMax: Int, idleFor uses: UInt64
    ) -> (clean: [OpenFile], unsynced: [OpenFile]) {
        self.state.withLock { state in
            guard uses == 0 || state.uses >= state.nextChoiceAt else { return ([], []) }
            let idle = state.files.values
                .filter { $0.pins == 0 && $0.usedAt + uses <= state.uses }
                .sorted { $0.usedAt < $1.usedAt }
            if idle.isEmpty { state.nextChoiceAt = state.uses + uses / 4 }
            let clean = idle.lazy.filter { !$0.hasUnsyncedChanges }.prefix(cleanMax)
            if !clean.isEmpty { return (clean.compactMap { state.detach($0.path) }, []) }
            let unsynced = Array(idle.prefix(unsyncedMax))
            for file in unsynced { state.pin(file, for: .sync) }
            return ([], unsynced)
        }
    }

    /// Lets go of a pinned file that was synced, unless somebody has changed it since.
    func detachIfClean(_ file: OpenFile) {
        self.state.withLock { state in
            guard !file.isDetached, !file.hasUnsyncedChanges else { return }
            state.detach(file.path)
        }
    }
}

extension FileTable.State {
    fileprivate mutating func pin(_ file: OpenFile, for use: FileUse) {
        self.uses += 1
        file.usedAt = self.uses
        file.pins += 1
        if use == .change {
            file.writers += 1
            file.changes += 1
        }
    }

    /// Takes the file out of the table. Answers it when nobody has it pinned, so that the caller closes it; else the
    /// last pin does.
    @discardableResult
    fileprivate mutating func detach(_ path: DiskPath) -> OpenFile? {
        guard let file = self.files.removeValue(forKey: path) else { return nil }
        file.isDetached = true
        return file.pins == 0 ? file : nil
    }

    fileprivate mutating func moveAll(below old: DiskPath, to new: DiskPath) {
        let prefix = old.rawValue + "/"
        func moved(_ path: DiskPath) -> DiskPath {
            DiskPath(new.rawValue + "/" + path.rawValue.dropFirst(prefix.count))
        }
        for path in self.files.keys.filter({ $0.rawValue.hasPrefix(prefix) }) {
            guard let file = self.files.removeValue(forKey: path) else { continue }
            file.path = moved(path)
            self.files[file.path] = file
        }
        for path in self.dead.filter({ $0.rawValue.hasPrefix(prefix) }) {
            self.dead.remove(path)
            self.dead.insert(moved(path))
        }
    }
}

/// What a file is wanted for.
enum FileUse: Sendable {
    case read
    /// Write, allocate, truncate: not durable before the next sync.
    case change
    case sync
}

/// One open descriptor. Owner: the ``FileTable``.
///
/// Unchecked because the variables are guarded by the table's lock, which the compiler cannot see: only `FileTable`
/// touches them, and only inside `withLock`.
final class OpenFile: @unchecked Sendable {
    let descriptor: Int32
    let isWritable: Bool
    fileprivate var path: DiskPath
    fileprivate var pins = 0
    fileprivate var writers = 0
    fileprivate var changes: UInt64 = 0
    fileprivate var changesSynced: UInt64 = 0
    fileprivate var usedAt: UInt64 = 0
    fileprivate var isDetached = false

    fileprivate init(_ descriptor: Int32, isWritable: Bool, path: DiskPath) {
        self.descriptor = descriptor
        self.isWritable = isWritable
        self.path = path
    }

    fileprivate var hasUnsyncedChanges: Bool { self.changes != self.changesSynced }
}
