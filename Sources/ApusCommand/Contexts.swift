import Foundation

/// Named sets of connection settings, so that nobody types addresses: `apus context …`.
///
/// The file is one JSON object, written by `apus` and readable by hand:
///
///     {"current": "staging", "contexts": {"staging": {"server": "10.0.0.7:9092", "timeout": "5s"}}}
///
/// A login in it names the file with the password, never the password.
///
/// A value; the command reads and writes the file.
package struct Contexts: Hashable, Sendable {
    package struct Context: Hashable, Sendable {
        /// Brokers to ask first, with commas between.
        package var server: String
        /// A duration as it was typed; nil for the default.
        package var timeout: String?
        package var security: ConnectionSecurity

        package init(
            server: String, timeout: String? = nil, security: ConnectionSecurity = ConnectionSecurity()
        ) throws(CommandFailure) {
            try security.check()
            self.security = security
            _ = try HostPort.list(server)
            if let timeout { _ = try Quantity.duration(timeout) }
            self.server = server
            self.timeout = timeout
        }
    }

    package private(set) var all: [String: Context] = [:]
    /// The one that is used when nothing else is said.
    package private(set) var current: String?

    /// No file yet.
    package init() {}

    /// - Throws: `contexts_file`: a file that was misread must not send a command to another cluster.
    package init(file: String, named path: String) throws(CommandFailure) {
        func refusal(_ why: String) -> CommandFailure {
            CommandFailure(
                .badData, code: "contexts_file", "\(path): \(why)", next: "repair it, or remove it and add them again")
        }
        let object: Any
        do { object = try JSONSerialization.jsonObject(with: Data(file.utf8)) } catch { throw refusal("it is no JSON") }
        guard let top = object as? [String: Any], let contexts = top["contexts"] as? [String: [String: Any]] else {
            throw refusal("it is no object with \"contexts\"")
        }
        for name in top.keys.sorted() where name != "contexts" && name != "current" {
            throw refusal("there is no \"\(name)\" here")
        }
        for (name, fields) in contexts {
            let known = ["server", "timeout"] + ConnectionSecurity.keys
            for key in fields.keys.sorted() where !known.contains(key) {
                throw refusal("context \(name): there is no setting \"\(key)\"")
            }
            let timeout = fields["timeout"] as? String
            guard let server = fields["server"] as? String, timeout != nil || fields["timeout"] == nil else {
                throw refusal("context \(name): \"server\" and \"timeout\" are texts, and \"server\" must be there")
            }
            do {
                let security = try ConnectionSecurity(fields: fields)
                self.all[name] = try Context(server: server, timeout: timeout, security: security)
            } catch {
                throw refusal("context \(name): \(error.message)")
            }
        }
        if let current = top["current"] {
            guard let name = current as? String, self.all[name] != nil else {
                throw refusal("\"current\" is none of its contexts")
            }
            self.current = name
        }
    }

    /// What the file holds.
    package var file: String {
        var fields: [(String, JSON)] = []
        if let current = self.current { fields.append(("current", .string(current))) }
        let contexts = self.all.sorted { $0.key < $1.key }.map { name, context in
            var fields: [(String, JSON)] = [("server", .string(context.server))]
            if let timeout = context.timeout { fields.append(("timeout", .string(timeout))) }
            return (name, JSON.object(fields + context.security.fields))
        }
        fields.append(("contexts", .object(contexts)))
        return JSON.object(fields).pretty + "\n"
    }

    // MARK: Verbs

    /// - Returns: whether there was none of that name.
    package mutating func add(_ name: String, _ context: Context) throws(CommandFailure) -> Bool {
        let isName = name.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard isName, !name.isEmpty, name.first != "-" else {
            throw .usage("\"\(name)\" can not be the name of a context", next: "letters, digits, . - and _")
        }
        return self.all.updateValue(context, forKey: name) == nil
    }

    package mutating func use(_ name: String) throws(CommandFailure) {
        _ = try self.named(name)
        self.current = name
    }

    package mutating func remove(_ name: String) throws(CommandFailure) {
        _ = try self.named(name)
        self.all[name] = nil
        if self.current == name { self.current = nil }
    }

    package func named(_ name: String) throws(CommandFailure) -> Context {
        guard let context = self.all[name] else {
            let known = self.all.keys.sorted().joined(separator: ", ")
            throw CommandFailure(
                .usage, code: "unknown_context", "there is no context \"\(name)\"",
                next: known.isEmpty
                    ? "apus context add \(name) --server HOST:PORT" : "use \(known), or apus context add \(name)")
        }
        return context
    }
}
