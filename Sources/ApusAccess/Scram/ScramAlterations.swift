package import ApusCore

/// One line of AlterUserScramCredentials (KIP-554).
package struct ScramAlteration: Sendable {
    package enum Change: Sendable {
        case delete
        /// The client hashed the password: it never comes here.
        case upsert(iterations: Int32, salt: [UInt8], saltedPassword: Secret)
    }

    package let user: String
    /// KIP-554's number of the mechanism: 1 SHA-256, 2 SHA-512.
    package let mechanism: Int8
    package let change: Change

    package init(user: String, mechanism: Int8, change: Change) {
        self.user = user
        self.mechanism = mechanism
        self.change = change
    }
}

/// What a request to alter credentials does, user by user: all of a user's lines or none.
package struct ScramAlterations: Sendable {
    package enum Refusal: Error, Hashable, Sendable {
        /// UNSUPPORTED_SASL_MECHANISM
        case mechanism(Int8)
        /// UNACCEPTABLE_CREDENTIAL
        case credential(ScramCredential.Refusal)
        /// UNACCEPTABLE_CREDENTIAL
        case userName
        /// DUPLICATE_RESOURCE: the same user and mechanism twice in one request.
        case duplicate
        /// RESOURCE_NOT_FOUND: there is none to be deleted.
        case notFound
    }

    /// In the order in which the users were first named.
    package private(set) var answers: [(user: String, refusal: Refusal?)] = []
    /// To be committed to the coordinator store, all or nothing.
    package private(set) var changes: [StoreChange] = []

    package init(_ alterations: [ScramAlteration], users: ScramUsers) {
        var order: [ExactText] = []
        var lines: [ExactText: [ScramAlteration]] = [:]
        for alteration in alterations {
            let user = ExactText(alteration.user)
            if lines[user] == nil { order.append(user) }
            lines[user, default: []].append(alteration)
        }
        for user in order {
            do throws(Refusal) {
                self.changes += try Self.changes(of: user, lines[user] ?? [], users)
                self.answers.append((user.text, nil))
            } catch {
                self.answers.append((user.text, error))
            }
        }
    }

    private static func changes(
        of user: ExactText, _ lines: [ScramAlteration], _ users: ScramUsers
    ) throws(Refusal) -> [StoreChange] {
        guard Principal(user: user.text) != nil else { throw .userName }
        var seen: Set<ScramHash> = []
        var changes: [StoreChange] = []
        for line in lines {
            guard let hash = ScramHash(rawValue: line.mechanism) else { throw .mechanism(line.mechanism) }
            guard seen.insert(hash).inserted else { throw .duplicate }
            let key = ScramRecord.key(of: user, hash)
            switch line.change {
            case .delete:
                guard users.credential(of: user, hash) != nil else { throw .notFound }
                changes.append(.delete(key: key))
            case .upsert(let iterations, let salt, let saltedPassword):
                let credential: ScramCredential
                do throws(ScramCredential.Refusal) {
                    credential = try ScramCredential(
                        hash: hash, saltedPassword: saltedPassword, salt: salt, iterations: iterations)
                } catch {
                    throw .credential(error)
                }
                changes.append(.put(key: key, value: ScramRecord.encoded(credential, of: user)))
            }
        }
        return changes
    }
}
