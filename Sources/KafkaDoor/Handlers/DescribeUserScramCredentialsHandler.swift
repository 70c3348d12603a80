import ApusAccess
import ApusBroker
import KafkaWire

/// DescribeUserScramCredentials (50): which users there are, and how their passwords are hashed (KIP-554).
enum DescribeUserScramCredentialsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(
        _ request: inout DescribeUserScramCredentialsRequest,
        _ exchange: Exchange<DescribeUserScramCredentialsResponse>
    ) {
        var response = DescribeUserScramCredentialsResponse()
        response.errorMessage = nil
        var counts: [String: Int] = [:]
        // Null and none both ask for all.
        let names = request.users.flatMap { $0.isEmpty ? nil : $0.map(\.name) }
        for name in names ?? [] { counts[name, default: 0] += 1 }
        var seen: Set<String> = []
        let asked = names.map { $0.filter { seen.insert($0).inserted } }
        switch exchange.broker.describeScramUsers(asked, client: exchange.client) {
        case .failure(let error):
            response.errorCode = error.kafkaCode
            response.errorMessage = error.kafkaMessage
        case .success(let users): response.results = users.map { Self.result($0, named: counts[$0.name] ?? 1) }
        }
        exchange.answer(response)
    }

    private static func result(
        _ user: Broker.ScramUser, named count: Int
    ) -> DescribeUserScramCredentialsResponse.Result {
        var result = DescribeUserScramCredentialsResponse.Result()
        result.user = user.name
        result.errorMessage = nil
        if count > 1 {
            result.errorCode = .duplicateResource
            result.errorMessage = "The user was named \(count) times."
        } else if let credentials = user.credentials {
            result.credentialInfos = credentials.map { credential in
                var info = DescribeUserScramCredentialsResponse.Credential()
                info.mechanism = credential.hash.rawValue
                info.iterations = credential.iterations
                return info
            }
        } else {
            result.errorCode = .resourceNotFound
            result.errorMessage = "There is no user of this name with a password."
        }
        return result
    }
}
