import ApusAccess
import ApusCore
import NIOCore

/// What somebody says who has not logged in, and what the coordinator store gives back.
extension FuzzTarget {
    /// Both messages of SCRAM, that of PLAIN and that of OAUTHBEARER with its token, through the whole conversation:
    /// the first byte says which, and where the first message ends. Nobody may be let in.
    static let logins = FuzzTarget(
        name: "logins",
        isProportional: true,
        // A token is JSON: an element of two bytes becomes a value.
        heapBytesMax: { FuzzTarget.heapBytesFixed * 4 + $0 * 128 },
        seeds: { LoginSeeds.all },
        run: { bytes in
            guard let first = bytes.first else { return }
            let mechanism = SaslMechanism.allCases[Int(first % 4)]
            let body = bytes.dropFirst()
            let cut = min(body.count, Int(first / 4) * 2)
            var conversation = SaslConversation(over: .tls, at: LoginSeeds.moment.now)
            let nonce = ScramNonce(random: (1, 2, 3))
            let requests: [SaslRequest] = [
                .handshake(mechanism: mechanism.rawValue, version: 1, nonce: nonce),
                .authenticate(Array(body.prefix(cut))), .authenticate(Array(body.dropFirst(cut))),
            ]
            for request in requests {
                let answer = conversation.received(request, at: LoginSeeds.moment, rules: LoginSeeds.rules)
                guard case .check = answer else { continue }
                _ = conversation.checked(false, at: LoginSeeds.moment, rules: LoginSeeds.rules)
            }
            precondition(conversation.session == nil, "let in without a password")
        }
    )

    /// A key set of an identity provider.
    static let keys = FuzzTarget(
        name: "keys",
        isProportional: true,
        heapBytesMax: { FuzzTarget.heapBytesFixed * 4 + $0 * 128 },
        seeds: { [Array(LoginSeeds.keySet.utf8)] },
        run: { bytes in _ = try? TokenKeys(bytes) }
    )

    /// The subject of a certificate that a client brings.
    static let certificates = FuzzTarget(
        name: "certificates",
        isProportional: true,
        heapBytesMax: FuzzTarget.proportional,
        seeds: { [LoginSeeds.certificate] },
        run: { bytes in
            guard let subject = CertificateSubject(certificate: bytes) else { return }
            // Each byte is told as three at most: an escaped one as two, one without a name as two digits.
            precondition(subject.text.utf8.count <= bytes.count * 3 + 64, "a subject longer than its certificate")
        }
    )

    /// Rules, credentials and quotas as the store has them.
    static let accessRecords = FuzzTarget(
        name: "access",
        isProportional: true,
        heapBytesMax: FuzzTarget.proportional,
        seeds: { LoginSeeds.records },
        run: { bytes in
            if let acl = AclRecord.decoded(bytes) {
                precondition(AclRecord.encoded(acl) == bytes, "a rule does not write what it read")
            }
            if let (user, credential) = ScramRecord.decoded(bytes) {
                precondition(ScramRecord.encoded(credential, of: user) == bytes, "a credential changed")
            }
            if let (entity, rates) = QuotaRecord.decoded(bytes) {
                precondition(QuotaRecord.decoded(QuotaRecord.encoded(rates, of: entity)) != nil, "a quota was lost")
            }
        }
    )

    /// The coordinator store as somebody meddled with it, change by change: `kind UInt8, length UInt16, value`. The
    /// kind says whose prefix the key has, and whether it is the one that belongs to the value. Nothing may be allowed
    /// by what can not be read, and what is deleted again leaves nothing behind.
    static let accessStore = FuzzTarget(
        name: "accessstore",
        isProportional: false,
        // A rule is compiled into masks for each kind of resource.
        heapBytesMax: { (256 << 10) + $0 * 512 },
        seeds: { LoginSeeds.store },
        run: { bytes in
            var records = AccessRecords(mockSecret: Secret(repeatElement(7, count: 32)))
            var rest = ByteBuffer(bytes: bytes)
            var keys: Set<String> = []
            var revision = StoreRevision.none
            while let change = LoginSeeds.change(from: &rest) {
                if case .put(let key, _) = change { keys.insert(key) }
                revision.rawValue += 1
                records.apply([change], at: revision)
            }
            let view = records.aclSet(superUsers: []).view(of: LoginSeeds.alice, from: nil)
            let decision = view.authorize(.write, on: Resource(.topic, "orders"))
            if records.unreadable.contains(where: { $0.hasPrefix(AclRecord.prefix) }) {
                precondition(decision != .allowed, "allowed by rules that can not be read")
            }
            let subject = QuotaSubject(LoginSeeds.alice, clientID: "app")
            for kind in QuotaKind.allCases { _ = records.quotas.limit(kind, for: subject) }
            records.apply(keys.map { .delete(key: $0) }, at: revision)
            precondition(records.unreadable.isEmpty && records.aclCount == 0, "something stays of what is gone")
        }
    )
}

private enum LoginSeeds {
    /// As much of a certificate as has a subject: version, number, algorithm, issuer, time, `CN=a+O=b`.
    static let certificate: [UInt8] = [
        0x30, 0x2F, 0x30, 0x2D, 0xA0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01, 0x30, 0x00, 0x30, 0x00, 0x30, 0x00,
        0x30, 0x1D, 0x31, 0x1B, 0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0C, 0x01, 0x61, 0x30, 0x0F, 0x06, 0x0A,
        0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 0x01, 0x19, 0x16, 0x01, 0x62,
    ]

    static let moment = LoginMoment(
        now: Instant(nanoseconds: 1), wall: Timestamp(rawValue: 1_800_000_000_000))

    /// A point of P-256 (RFC 7517, appendix A.1), so that a key can be made of it.
    static let keySet = """
        {"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",\
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}]}
        """

    static let rules: LoginRules = {
        var rules = LoginRules(
            mechanisms: MechanismRules(enabled: Set(SaslMechanism.allCases)),
            users: ScramUsers(mockSecret: Secret(repeatElement(7, count: 32))))
        if let credential { rules.users.set(credential, of: "alice", .sha256) }
        let keys = try? TokenKeys(Array(Self.keySet.utf8))
        rules.tokens = TokenVerifier([TokenIssuer(name: "me", audiences: ["you"], keys: keys)])
        return rules
    }()

    private static let credential = try? ScramCredential(
        hash: .sha256, saltedPassword: Secret(repeatElement(9, count: 32)), salt: Array(repeating: 1, count: 16),
        iterations: 4096)

    /// `{"alg":"ES256","kid":"1"}` and `{"iss":"me"}`, signed by nobody.
    private static let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJtZSJ9.AAAA"

    static let all: [[UInt8]] = [
        Self.seed(.scramSHA256, "n,,n=alice,r=abc", "c=biws,r=abc,p=AAAA"),
        Self.seed(.scramSHA512, "n,a=bob,n=b=2Cb,r=abcd", "c=biws,r=abcd,x=y,p=AAAA"),
        Self.seed(.plain, "\0alice\0tea", ""),
        Self.seed(.oauthBearer, "n,,\u{1}auth=Bearer \(Self.token)\u{1}\u{1}", "\u{1}"),
    ]

    private static func seed(_ mechanism: SaslMechanism, _ first: String, _ second: String) -> [UInt8] {
        let place = SaslMechanism.allCases.firstIndex(of: mechanism) ?? 0
        let padded = first.utf8.count % 2 == 0 ? first : first + " "
        return [UInt8(truncatingIfNeeded: padded.utf8.count / 2 * 4 + place)] + padded.utf8 + second.utf8
    }

    static let records: [[UInt8]] = {
        let acl = try? Acl(ResourcePattern(.topic, .prefixed, "ord"), .everybody, .any, .read, .deny)
        let entity = try? QuotaEntity(user: .others, clientID: .named("app"))
        return [
            acl.map { AclRecord.encoded($0) }, Self.credential.map { ScramRecord.encoded($0, of: "alice") },
            entity.map { QuotaRecord.encoded([.producedBytes: 1000], of: $0) },
        ].compactMap { $0 }
    }()

    // MARK: The store

    /// Nil for a name that no principal can have, which this is not.
    static let alice = Principal(user: "alice") ?? Principal.anonymous

    static let store: [[UInt8]] = {
        var all = ByteBuffer()
        for (place, record) in Self.records.enumerated() {
            for isOwn in [true, false] {
                all.writeInteger(UInt8(place * 4 + (isOwn ? 0 : 1)))
                all.writeInteger(UInt16(clamping: record.count))
                all.writeBytes(record)
            }
        }
        return [Array(all.readableBytesView)]
    }()

    /// One change of the target's input; nil at its end.
    static func change(from rest: inout ByteBuffer) -> StoreChange? {
        guard let kind = rest.readInteger(as: UInt8.self), let length = rest.readInteger(as: UInt16.self),
            let value = rest.readBytes(length: min(Int(length), rest.readableBytes))
        else { return nil }
        let prefix = AccessRecords.prefixes[Int(kind / 4) % AccessRecords.prefixes.count]
        let key = kind % 2 == 0 ? Self.key(of: value) ?? "\(prefix)a" : "\(prefix)\(kind)"
        return kind % 4 == 3 ? .delete(key: key) : .put(key: key, value: value)
    }

    /// The one that a value belongs under, if it is one.
    private static func key(of value: [UInt8]) -> String? {
        if let acl = AclRecord.decoded(value) { return AclRecord.key(of: acl) }
        if let (user, credential) = ScramRecord.decoded(value) { return ScramRecord.key(of: user, credential.hash) }
        return QuotaRecord.decoded(value).map { QuotaRecord.key(of: $0.entity) }
    }
}
