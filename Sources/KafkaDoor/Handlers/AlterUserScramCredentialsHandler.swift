import ApusAccess
import ApusBroker
import ApusCore
import KafkaWire
import NIOCore

/// AlterUserScramCredentials (51): sets and removes passwords, which come hashed (KIP-554).
enum AlterUserScramCredentialsHandler: ApiHandler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(
        _ request: inout AlterUserScramCredentialsRequest, _ exchange: Exchange<AlterUserScramCredentialsResponse>
    ) {
        let deletions = request.deletions.map {
            ScramAlteration(user: $0.name, mechanism: $0.mechanism, change: .delete)
        }
        let upsertions = request.upsertions.map {
            ScramAlteration(
                user: $0.name, mechanism: $0.mechanism,
                change: .upsert(
                    iterations: $0.iterations, salt: Array($0.salt.readableBytesView),
                    saltedPassword: Secret(Array($0.saltedPassword.readableBytesView))))
        }
        var names: [String] = []
        var seen: Set<String> = []
        for alteration in deletions + upsertions where seen.insert(alteration.user).inserted {
            names.append(alteration.user)
        }
        exchange.broker.alterScramUsers(
            deletions + upsertions, client: exchange.client, on: exchange.loop
        ) { [names] result in
            var response = AlterUserScramCredentialsResponse()
            switch result {
            // There is no error of the whole: each user has it.
            case .failure(let error):
                response.results = names.map { Self.result($0, error.kafkaCode, error.kafkaMessage) }
            case .success(let answers):
                response.results = answers.map { answer in
                    let (code, message) = answer.refusal?.kafka ?? (.none, nil)
                    return Self.result(answer.user, code, message)
                }
            }
            exchange.answer(response)
        }
    }

    private static func result(
        _ user: String, _ code: KafkaErrorCode, _ message: String?
    ) -> AlterUserScramCredentialsResponse.Result {
        var result = AlterUserScramCredentialsResponse.Result()
        result.user = user
        result.errorCode = code
        result.errorMessage = message
        return result
    }
}

extension ScramAlterations.Refusal {
    fileprivate var kafka: (KafkaErrorCode, String?) {
        switch self {
        case .mechanism(let number): (.unsupportedSaslMechanism, "There is no SCRAM mechanism \(number).")
        case .userName:
            (
                .unacceptableCredential,
                "A user's name has 1 to \(Limits.principalNameBytesMax) of text that shows itself."
            )
        case .duplicate: (.duplicateResource, "The same user and mechanism stand twice in the request.")
        case .notFound: (.resourceNotFound, "There is no such credential to be deleted.")
        case .credential(.iterations(let iterations)):
            (
                .unacceptableCredential,
                "\(iterations) iterations: from \(Limits.scramIterationsMin) to \(Limits.scramIterationsMax) are taken."
            )
        case .credential(.salt(let bytes)):
            (
                .unacceptableCredential,
                "A salt of \(bytes): from \(Limits.scramSaltBytesMin) to \(Limits.scramSaltBytesMax) are taken."
            )
        case .credential(.keyLength(let bytes)):
            (.unacceptableCredential, "A salted password of \(bytes) is none of its hash.")
        case .credential(.password): (.unacceptableCredential, "The password is not taken.")
        }
    }
}
