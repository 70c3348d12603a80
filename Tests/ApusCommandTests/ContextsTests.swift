import ApusCommand
import Testing

@Suite struct ContextsTests {
    private func contexts() throws -> Contexts {
        var contexts = Contexts()
        #expect(try contexts.add("staging", Contexts.Context(server: "10.0.0.7:9092", timeout: "5s")))
        #expect(try contexts.add("here", Contexts.Context(server: "127.0.0.1:9093")))
        return contexts
    }

    @Test("what is written is read back")
    func file() throws {
        var contexts = try self.contexts()
        #expect(try Contexts(file: contexts.file, named: "f") == contexts)
        try contexts.use("staging")
        #expect(try Contexts(file: contexts.file, named: "f").current == "staging")
        #expect(try contexts.add("staging", Contexts.Context(server: "other")) == false)
        try contexts.remove("staging")
        #expect(contexts.current == nil)
        #expect(throws: CommandFailure.self) { try contexts.use("staging") }
    }

    @Test(
        "a file that is not wholly understood is refused: it could send a command elsewhere",
        arguments: [
            "", "[]", "{}", #"{"contexts":{"a":{}}}"#, #"{"contexts":{"a":{"server":1}}}"#,
            #"{"contexts":{"a":{"server":"h","sever":"x"}}}"#, #"{"contexts":{},"current":"a"}"#,
            #"{"contexts":{},"curent":"a"}"#, #"{"contexts":{"a":{"server":"h","timeout":5}}}"#,
            #"{"contexts":{"a":{"server":"h","timeout":"5"}}}"#,
        ])
    func badFile(text: String) {
        let failure = #expect(throws: CommandFailure.self) { try Contexts(file: text, named: "contexts.json") }
        #expect(failure?.message.hasPrefix("contexts.json: ") == true)
    }

    @Test("a context keeps how to get there safely, and who to be, and names files only")
    func security() throws {
        var security = ConnectionSecurity()
        security.tls = true
        security.ca = "/ca.pem"
        security.user = "alice"
        security.passwordFile = "/secret"
        security.mechanism = .scramSHA256
        var contexts = Contexts()
        _ = try contexts.add("prod", Contexts.Context(server: "h", security: security))
        #expect(try Contexts(file: contexts.file, named: "f") == contexts)
        func choice(_ server: String?, _ said: ConnectionSecurity) throws -> ConnectionSecurity {
            try ConnectionChoice(
                server: server, context: server == nil ? "prod" : nil, timeout: nil, security: said,
                environment: ["APUS_USER": "env", "APUS_PASSWORD_FILE": "/env"], contexts: { contexts }
            ).security
        }
        #expect(try choice(nil, ConnectionSecurity()) == security)
        let other = try choice("elsewhere", ConnectionSecurity())
        #expect(other.user == "env" && other.passwordFile == "/env" && other.ca == nil, "never a context's secret")
        var bob = ConnectionSecurity()
        bob.user = "bob"
        bob.passwordFile = "/bob"
        let asBob = try choice(nil, bob)
        #expect(asBob.user == "bob" && asBob.passwordFile == "/bob" && asBob.ca == "/ca.pem")
        bob.passwordFile = nil
        #expect(try choice(nil, bob).passwordFile == nil, "alice's password is not bob's")
        bob.tokenFile = "/token"
        #expect(throws: CommandFailure.self) { try choice(nil, bob) }
    }

    @Test(
        "a context whose login makes no sense is refused",
        arguments: [
            #""user":1"#, #""tls":"yes""#, #""password_file":"/p""#, #""mechanism":"gssapi","user":"a""#,
            #""tls_cert":"/c""#, #""user":"a","token_file":"/t""#, #""password":"secret""#,
        ])
    func badSecurity(fields: String) {
        #expect(throws: CommandFailure.self) {
            try Contexts(file: #"{"contexts":{"a":{"server":"h",\#(fields)}}}"#, named: "contexts.json")
        }
    }

    @Test("names are plain words", arguments: ["", "a b", "-x", "ä", "a/b"])
    func names(name: String) {
        #expect(throws: CommandFailure.self) {
            var contexts = Contexts()
            return try contexts.add(name, Contexts.Context(server: "h"))
        }
    }

    @Test("flag, context flag, environment, context in use, default: in this order")
    func order() throws {
        var known = try self.contexts()
        try known.use("here")
        let inUse = known
        func choice(
            server: String? = nil, context: String? = nil, _ environment: [String: String] = [:],
            _ contexts: Contexts? = nil
        ) throws -> ConnectionChoice {
            try ConnectionChoice(server: server, context: context, timeout: nil, environment: environment) {
                contexts ?? inUse
            }
        }
        #expect(try choice(server: "a:1", ["APUS_SERVER": "b:1", "APUS_CONTEXT": "staging"]).servers == "a:1")
        #expect(try choice(context: "staging", ["APUS_SERVER": "b:1"]).servers == "10.0.0.7:9092")
        #expect(try choice(["APUS_SERVER": "b:1", "APUS_CONTEXT": "staging"]).servers == "b:1")
        #expect(try choice(["APUS_CONTEXT": "staging"]).timeout == .seconds(5))
        #expect(try choice(["APUS_CONTEXT": "staging", "APUS_TIMEOUT": "1s"]).timeout == .seconds(1))
        #expect(try choice().servers == "127.0.0.1:9093")
        #expect(try choice([:], Contexts()).servers == "127.0.0.1:9092")
        #expect(throws: CommandFailure.self) { try choice(server: "a:1", context: "staging") }
        #expect(throws: CommandFailure.self) { try choice(["APUS_CONTEXT": "nowhere"]) }
    }

    @Test("a context's timeout does not go with other servers, and then its file is not read")
    func whole() throws {
        struct Read: Error {}
        let choice = try ConnectionChoice(
            server: nil, context: nil, timeout: nil, environment: ["APUS_SERVER": "b:1"]
        ) { () throws(CommandFailure) in throw .usage("the file was read") }
        #expect(
            choice == (try ConnectionChoice(server: "b:1", context: nil, timeout: nil, environment: [:]) { Contexts() })
        )
        #expect(choice.timeout == nil)
    }
}
