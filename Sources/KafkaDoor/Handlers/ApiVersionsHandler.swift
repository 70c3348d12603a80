import KafkaWire

/// ApiVersions (18): what is served, in which versions (KIP-35, KIP-511).
///
/// A version above ours is answered before it comes here, in the form of version 0, so that the client can ask again.
/// No features are told: clients then keep to what needs none.
enum ApiVersionsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...4

    static func handle(_ request: inout ApiVersionsRequest, _ exchange: Exchange<ApiVersionsResponse>) {
        var response = ApiVersionsResponse()
        guard
            exchange.version < 3
                || self.isValid(request.clientSoftwareName) && self.isValid(request.clientSoftwareVersion)
        else {
            response.errorCode = .invalidRequest
            return exchange.answer(response)
        }
        response.apiKeys = exchange.door.table.told.map { served in
            var api = ApiVersionsResponse.Api()
            api.apiKey = served.key.rawValue
            api.minVersion = served.versionAdvertisedMin
            api.maxVersion = served.versions.upperBound
            return api
        }
        exchange.answer(response)
    }

    /// Letters, digits, hyphens and dots, the first and last a letter or digit. These end up in logs and metrics.
    static func isValid(_ text: String) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last, self.isAlphanumeric(first), self.isAlphanumeric(last)
        else {
            return false
        }
        return bytes.allSatisfy {
            self.isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
