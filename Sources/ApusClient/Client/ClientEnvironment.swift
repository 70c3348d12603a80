import ApusCore
import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// What a client needs of the world: the time, chance, an event loop and a way to connect. Tests bring their own.
struct ClientEnvironment: Sendable {
    /// The wall clock, for the timestamps of records. The monotonic time is the event loop's.
    var wallTime: @Sendable () -> Timestamp
    var randomness: any Randomness
    var loop: any EventLoop
    /// Runs slow work on a thread that is no event loop.
    var elsewhere: @Sendable (_ work: @escaping @Sendable () -> Void) -> Void = { work in
        NIOThreadPool.singleton.submit { _ in work() }
    }
    /// Connects to host and port, on the loop, with the handler in the channel's pipeline.
    var connect: @Sendable (_ to: ServerAddress, _ handler: BrokerConnection) -> EventLoopFuture<any Channel>

    /// The machine's own.
    static func system(_ configuration: ClientConfiguration) -> ClientEnvironment {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let tls = BrokerTLS(configuration.tls)
        return ClientEnvironment(
            wallTime: SystemTime.wall, randomness: SystemRandomness(), loop: loop,
            connect: { address, handler in
                BrokerSocket.connect(to: address, handler: handler, configuration: configuration, tls: tls, on: loop)
            }
        )
    }
}

enum SystemTime {
    static func wall() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(rawValue: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}

struct SystemRandomness: Randomness {
    func next() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}

extension Instant {
    /// The event loop's monotonic time.
    init(_ deadline: NIODeadline) {
        self.init(nanoseconds: deadline.uptimeNanoseconds)
    }

    var deadline: NIODeadline { .uptimeNanoseconds(self.nanoseconds) }
}
