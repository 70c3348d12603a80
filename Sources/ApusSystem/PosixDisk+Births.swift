package import ApusCore

extension PosixDisk: LockstepDisk {
    package func perform(births group: [DiskCommands]) -> [DiskFailure?] {
        // Opened before anything is written: it is told of every failure from now on, whoever else asks for theirs.
        let isMany = group.count >= Limits.birthsSyncedAsOneMin
        guard isMany, let whole = WholeFileSystem(below: self.root) else {
            return self.perform(births: group, syncWhole: nil)
        }
        return self.perform(births: group) { () throws(DiskError) in try whole.sync() }
    }

    func perform(births group: [DiskCommands], syncWhole: (() throws(DiskError) -> Void)?) -> [DiskFailure?] {
        var lockstep = Lockstep(group, on: self, syncAsOne: syncWhole.map { sync in { self.sync($0, asOne: sync) } })
        lockstep.run()
        return lockstep.failures
    }

    /// One sync for many files and directories, which are kept from being closed meanwhile. It does not tell whose
    /// bytes could not be written, so after a failure all of them are dead.
    private func sync(_ syncs: [DiskCommand], asOne sync: () throws(DiskError) -> Void) -> DiskError? {
        var pinned: [(file: OpenFile, changes: UInt64)] = []
        var paths: [DiskPath] = []
        for case .sync(let path) in syncs {
            paths.append(path)
            // Not open: it was closed, and synced before that.
            guard let file = self.files.pinIfOpen(path) else { continue }
            pinned.append((file, self.files.syncBegins(file)))
        }
        for case .syncDirectory(let path) in syncs { paths.append(path) }
        // What was closed may have died of it.
        let dead = paths.first(where: self.files.isDead).map { DiskError(.dead, "sync", $0) }
        let failure = dead ?? Self.failure(of: sync)
        for (file, changes) in pinned {
            if failure == nil { self.files.syncSucceeded(file, covering: changes) } else { self.files.syncFailed(file) }
            self.release(file, after: .sync)
        }
        if failure != nil { paths.forEach(self.files.markDead) }
        return failure
    }

    private static func failure(of sync: () throws(DiskError) -> Void) -> DiskError? {
        do throws(DiskError) {
            try sync()
            return nil
        } catch {
            return error
        }
    }
}
