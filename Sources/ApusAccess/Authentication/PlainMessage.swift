import ApusCore

/// The one message of SASL PLAIN (RFC 4616): `[authzid] NUL user NUL password`.
package struct PlainMessage: Sendable {
    package let user: ExactText
    package let password: Secret

    package enum Refusal: Error, Hashable, Sendable {
        case malformed
        case otherAuthorizationIdentity
        case user
        case password(PasswordRefusal)
    }

    package init(_ message: [UInt8]) throws(Refusal) {
        let parts = message.split(separator: 0, maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed }
        guard parts[1].count <= Limits.principalNameBytesMax.rawValue,
            let user = String(validating: parts[1], as: UTF8.self), Principal(user: user) != nil
        else { throw .user }
        guard parts[0].isEmpty || parts[0] == parts[1] else { throw .otherAuthorizationIdentity }
        if let refusal = PasswordRefusal.refusal(of: parts[2]) { throw .password(refusal) }
        self.user = ExactText(user)
        self.password = Secret(parts[2])
    }
}
