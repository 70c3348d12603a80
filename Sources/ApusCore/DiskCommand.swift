public import NIOCore

/// One thing to do on the disk, as the thinking parts say it. Run in order; the first failure ends the list.
public enum DiskCommand: Sendable {
    case createDirectory(DiskPath)
    case create(DiskPath)
    case allocate(DiskPath, upTo: ByteCount)
    case write([ByteBuffer], to: DiskPath, at: FilePosition)
    case sync(DiskPath)
    case syncDirectory(DiskPath)
    case truncate(DiskPath, to: ByteCount)
    /// A favour: nothing happens where the file system can not.
    case punchHole(DiskPath, from: FilePosition, upTo: FilePosition)
    case rename(DiskPath, to: DiskPath)
    case remove(DiskPath)
    case removeDirectory(DiskPath)
    case close(DiskPath)

    /// It waits for the device. After its failure nobody knows what is on the disk.
    public var isSync: Bool {
        switch self {
        case .sync, .syncDirectory: true
        default: false
        }
    }
}

extension Disk {
    /// Runs the commands in order. On failure the rest is not run.
    public func perform(_ commands: [DiskCommand]) throws(DiskError) {
        for command in commands { try self.perform(command) }
    }

    public func perform(_ command: DiskCommand) throws(DiskError) {
        switch command {
        case .createDirectory(let path): try self.createDirectory(path)
        case .create(let path): try self.create(path)
        case .allocate(let path, let size): try self.allocate(path, upTo: size)
        case .write(let bytes, let path, let position): try self.write(bytes, to: path, at: position)
        case .sync(let path): try self.sync(path)
        case .syncDirectory(let path): try self.syncDirectory(path)
        case .truncate(let path, let size): try self.truncate(path, to: size)
        case .punchHole(let path, let start, let end): _ = try self.punchHole(in: path, from: start, upTo: end)
        case .rename(let path, let name): try self.rename(path, to: name)
        case .remove(let path): try self.remove(path)
        case .removeDirectory(let path): try self.removeDirectory(path)
        case .close(let path): self.close(path)
        }
    }
}

/// What one log wants done together: nothing in it is promised before all of it is.
public typealias DiskCommands = [DiskCommand]

/// Where a list of commands ended, and why. What is behind that place was not run.
public struct DiskFailure: Error, Hashable, Sendable {
    public var error: DiskError
    /// The failed command's place in its list, from 0.
    public var index: Int

    public init(_ error: DiskError, at index: Int) {
        self.error = error
        self.index = index
    }
}

extension Disk {
    /// Runs several lists that have nothing to do with one another. Answers each one's failure, nil for success.
    public func performEach(_ group: [DiskCommands]) -> [DiskFailure?] {
        group.map { commands in
            for (index, command) in commands.enumerated() {
                do throws(DiskError) { try self.perform(command) } catch { return DiskFailure(error, at: index) }
            }
            return nil
        }
    }
}

/// The port that takes disk work off an event loop.
///
/// Work submitted under one `lane` runs in order, one at a time; lanes run beside one another. The answer comes back
/// on `loop`. A lane is a partition's log, so one slow or dead file never holds up another partition.
public protocol DiskQueue: Sendable {
    func run<Answer: Sendable>(
        in lane: DiskLane,
        on loop: any EventLoop,
        _ work: @escaping @Sendable (any Disk) -> Answer,
        then: @escaping @Sendable (Answer) -> Void
    )

    /// For ``Disk/readCached(_:at:upTo:end:)``, which never waits and needs no lane.
    var disk: any Disk { get }

    /// Runs work that should not wait for the device, like a small write into the page cache, at once on the caller's
    /// thread, if the queue finds such work quick at present. Nil if not: then nothing was run.
    ///
    /// Nothing of the same lane may be queued or running.
    func runShort<Answer>(_ work: (any Disk) -> Answer) -> Answer?
}

/// Whose disk work it is. Work of one lane is ordered.
public struct DiskLane: Hashable, Sendable {
    public var rawValue: UInt64
    /// Work of it gives way to that of other lanes, and never makes one wait: reading what is long past, however much
    /// there is of it, must not delay those who write.
    public var givesWay: Bool

    public init(rawValue: UInt64, givesWay: Bool = false) {
        self.rawValue = rawValue
        self.givesWay = givesWay
    }
}
