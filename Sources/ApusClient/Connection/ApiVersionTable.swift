import KafkaWire

/// What one broker serves, as it said.
struct ApiVersionTable: Hashable, Sendable {
    private var served: [ApiKey: ClosedRange<Int16>] = [:]

    init(_ response: ApiVersionsResponse) {
        for api in response.apiKeys where api.minVersion <= api.maxVersion {
            self.served[ApiKey(rawValue: api.apiKey)] = api.minVersion...api.maxVersion
        }
    }

    init(_ served: [ApiKey: ClosedRange<Int16>]) {
        self.served = served
    }

    /// The highest version that both sides know; nil when there is none.
    /// - Parameter limit: the highest one that the caller can use.
    func version(of api: ApiKey, upTo limit: Int16 = .max) -> Int16? {
        // Nobody tells of these: who calls them knows whom it talks to.
        if api.isOwn { return api.versions.map { min($0.upperBound, limit) } }
        guard let ours = api.versions, let theirs = self.served[api] else { return nil }
        let highest = min(ours.upperBound, theirs.upperBound, limit)
        return highest >= max(ours.lowerBound, theirs.lowerBound) ? highest : nil
    }
}

/// The first exchange on a connection (KIP-511): ask in our highest version; a broker that does not know it answers in
/// version 0 with the versions of this one API that it knows; ask again in the highest of those.
struct VersionNegotiation: Sendable {
    enum Step: Hashable, Sendable {
        case ask(version: Int16)
        case done(ApiVersionTable)
        case failed(String)
    }

    private(set) var version: Int16 = ApiVersionsRequest.versions.upperBound
    private var asked = 0

    mutating func start() -> Step {
        self.asked += 1
        return .ask(version: self.version)
    }

    /// - Parameter frame: the answer, without its length.
    mutating func answered(_ frame: WireReader) -> Step {
        var reader = frame
        do throws(WireError) {
            let header = try ResponseHeader(from: &reader, apiKey: .apiVersions, version: self.version)
            _ = header
            // The error is the first field in every version, and with this one the rest is version 0.
            var peek = reader
            let isRefused = try peek.readInt16() == KafkaErrorCode.unsupportedVersion.rawValue
            let response = try ApiVersionsResponse(from: &reader, version: isRefused ? 0 : self.version)
            guard isRefused else {
                guard response.errorCode == .none else { return .failed("ApiVersions: \(response.errorCode)") }
                return .done(ApiVersionTable(response))
            }
            guard self.asked < 3 else { return .failed("it serves no version of ApiVersions that we know") }
            let theirs = ApiVersionTable(response).version(of: .apiVersions, upTo: self.version - 1)
            self.version = max(theirs ?? 0, 0)
            return self.start()
        } catch {
            return .failed("its ApiVersions answer can not be read: \(error)")
        }
    }
}
