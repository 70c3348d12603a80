import KafkaWire

/// One API of the protocol, as this door serves it. One file each in `Handlers/`.
protocol ApiHandler: SendableMetatype {
    associatedtype Request: KafkaRequest

    /// The versions served. Every one of them is one that the wire reads.
    static var versions: ClosedRange<Int16> { get }
    /// The lowest version told to clients; `versions.lowerBound` but for Produce.
    static var versionAdvertisedMin: Int16 { get }

    /// Serves one request: answers through `exchange` exactly once, now or later, on the connection's loop.
    ///
    /// `request` is inout so that record bytes can be taken out of it and have one owner.
    static func handle(_ request: inout Request, _ exchange: Exchange<Request.Response>)
}

extension ApiHandler {
    static var versionAdvertisedMin: Int16 { self.versions.lowerBound }
}
