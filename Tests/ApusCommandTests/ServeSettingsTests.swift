import ApusCommand
import ApusCore
import Configuration
import Foundation
import Testing

@Suite struct ServeSettingsTests {
    private func settings(
        flags: [String: String] = [:], environment: [String: String] = [:], file: String? = nil
    ) async throws -> ServeSettings {
        guard let file else {
            return try ServeSettings(
                from: try await SettingsSources.reader(flags: flags, environment: environment, file: nil))
        }
        let path = FileManager.default.temporaryDirectory.appending(path: "apus-\(UUID().uuidString).json")
        try Data(file.utf8).write(to: path)
        defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: path) } }
        return try ServeSettings(
            from: try await SettingsSources.reader(flags: flags, environment: environment, file: path.path))
    }

    @Test("with nothing said, the broker is durable and local")
    func defaults() async throws {
        let settings = try await self.settings()
        #expect(settings.data == "./apus-data")
        #expect(settings.kafka == HostPort(host: "127.0.0.1", port: 9092))
        #expect(settings.durabilityDefault == "fsync")
        #expect(settings.createsTopics)
        #expect(!settings.isInsecure)
        #expect(settings.advertise == nil)
        #expect(settings.freeBytesFloor == Limits.freeBytesFloorDefault)
        #expect(settings.options == [:])
        #expect(settings.requestMemory == Limits.requestMemoryDefault)
        #expect(settings.tailCache == Limits.tailCacheDefault)
    }

    @Test("logins, TLS and tokens are read, and what they need beside them is asked for")
    func security() async throws {
        let settings = try await self.settings(flags: [
            "auth": "scram,oauth", "super-user": "root;User:CN=a,O=b", "session-max": "1h", "jwks": "/keys",
            "jwt-issuer": "me", "jwt-audience": "you,them", "tls-cert": "/c", "tls-key": "/k", "kafka": "0.0.0.0:9092",
        ]).security
        #expect(settings.mechanisms == ["SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
        #expect(settings.superUsers == ["root", "User:CN=a,O=b"])
        #expect(settings.sessionLifetimeMax == .seconds(3600))
        #expect(settings.tokenAudiences == ["you", "them"])
        let wrong: [([String: String], String)] = [
            (["auth": "kerberos"], "kerberos"), (["auth": "oauth"], "keys"), (["jwks": "/keys"], "--jwks"),
            (["tls-cert": "/c"], "--tls-key"), (["tls-client-auth": "required"], "TLS"),
            (["tls-client-auth": "maybe"], "maybe"), (["bootstrap-user": "a"], "--bootstrap-password-file"),
            (["bootstrap-user": "a", "bootstrap-password-file": "/p"], "password"),
            (["auth": "scram", "kafka": "0.0.0.0:9092"], "no TLS"),
            (["auth": "scram,plain", "kafka": "0.0.0.0:9092", "scram-in-clear": "true"], "no TLS"),
        ]
        for (flags, word) in wrong {
            let failure = await #expect(throws: CommandFailure.self) { try await self.settings(flags: flags) }
            #expect(failure?.message.contains(word) == true, "\(flags): \(failure?.message ?? "")")
        }
        let inClear = try await self.settings(
            flags: ["auth": "scram", "kafka": "0.0.0.0:9092", "scram-in-clear": "true"])
        #expect(inClear.security.dangerInPublic == nil)
    }

    @Test("a flag beats the environment, which beats the file, which beats the default")
    func order() async throws {
        let file = #"{"data": "/file", "partitions": 3, "auto-create": false, "tail-cache": "1MiB", "loops": 1}"#
        let environment = ["APUS_DATA": "/environment", "APUS_PARTITIONS": "5", "APUS_REQUEST_MEMORY": "2MiB"]
        let settings = try await self.settings(flags: ["data": "/flag"], environment: environment, file: file)
        #expect(settings.data == "/flag")
        #expect(settings.partitionsDefault == 5)
        #expect(!settings.createsTopics)
        #expect(settings.requestMemory == .mebibytes(2))
        #expect(settings.tailCache == .mebibytes(1))
        #expect(settings.loops == 1)
    }

    @Test("more options of the broker go by Kafka's names, with units where that helps")
    func options() async throws {
        let settings = try await self.settings(
            environment: ["APUS_OPTIONS": "log.retention.ms=7d,message.max.bytes=2MiB,compression.type=zstd"])
        #expect(
            settings.options == [
                "log.retention.ms": "604800000", "message.max.bytes": "2097152", "compression.type": "zstd",
            ])
    }

    @Test(
        "a wrong value is refused by the name of its setting",
        arguments: [
            ("kafka", "nowhere:at:all"), ("partitions", "0"), ("partitions", "many"), ("auto-create", "perhaps"),
            ("durability", "never"), ("request-memory", "lots"), ("log-level", "loud"), ("loops", "-1"),
            ("options", "nothing"),
            ("disk-threads", "0"),
        ]
    )
    func refusals(name: String, value: String) async throws {
        let failure = await #expect(throws: CommandFailure.self) { try await self.settings(flags: [name: value]) }
        #expect(failure?.exit == .usage)
        #expect(failure?.message.contains(name) == true)
    }

    @Test(
        "a public address is refused unless it is asked for in words",
        arguments: ["0.0.0.0:9092", "192.168.0.1:9092", "[::]:9092", "example.org:9092", "127.0.0.1.example.org:1"]
    )
    func publicAddress(address: String) async throws {
        let failure = await #expect(throws: CommandFailure.self) {
            try await self.settings(flags: ["kafka": address])
        }
        #expect(failure?.exit == .denied)
        #expect(failure?.next?.contains("--insecure") == true)
        let settings = try await self.settings(flags: ["kafka": address, "insecure": "true"])
        #expect(settings.isInsecure)
    }

    @Test("a setting that is misspelt in the file is not ignored")
    func misspelt() async throws {
        let failure = await #expect(throws: CommandFailure.self) { try await self.settings(file: #"{"dta": "/x"}"#) }
        #expect(failure?.message.contains(#"there is no setting "dta""#) == true && failure?.exit == .badData)
    }

    @Test("a file that is no JSON object, or no file, is refused", arguments: ["[1]", "{", "data: /x"])
    func badFile(text: String) async throws {
        let failure = await #expect(throws: CommandFailure.self) { try await self.settings(file: text) }
        #expect(failure?.exit == .badData)
        await #expect(throws: CommandFailure.self) {
            try await SettingsSources.reader(flags: [:], environment: [:], file: "/nowhere/apus.json")
        }
    }

    @Test("the help of a setting tells its environment variable and its default")
    func help() {
        #expect(Setting.help("request-memory").hasSuffix("[env: APUS_REQUEST_MEMORY] [default: 256MiB]"))
        #expect(Setting.help("advertise").hasSuffix("[default: none]"))
    }
}

@Suite struct HostPortTests {
    @Test(
        "addresses with and without a port",
        arguments: [
            ("127.0.0.1:9092", "127.0.0.1", 9092), ("localhost", "localhost", 9092), ("[::1]:0", "::1", 0),
            ("[::1]", "::1", 9092), ("broker-1.example.org:65535", "broker-1.example.org", 65_535),
        ]
    )
    func parsing(text: String, host: String, port: Int) throws {
        #expect(try HostPort(text) == HostPort(host: host, port: port))
        #expect(try HostPort(try HostPort(text).description) == HostPort(host: host, port: port))
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", ":9092", "a:", "a:b", "a:65536", "a:-1", "::1", "[::1]x", "[::1", "a b:1", "a:1:2", "a:99999999999",
        ]
    )
    func refusals(text: String) {
        #expect(throws: CommandFailure.self) { try HostPort(text) }
    }

    @Test("a list has commas")
    func list() throws {
        #expect(try HostPort.list("a:1, b:2") == [HostPort(host: "a", port: 1), HostPort(host: "b", port: 2)])
        #expect(throws: CommandFailure.self) { try HostPort.list("") }
    }
}
