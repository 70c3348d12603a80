package import Configuration
import Foundation

/// The places where a setting may stand, first one wins.
package enum SettingsSources {
    /// - Parameters:
    ///   - flags: what the command line said, by setting name.
    ///   - environment: the process's, of which `APUS_…` counts.
    ///   - file: a JSON object of setting names, if there is one.
    package static func reader(
        flags: [String: String], environment: [String: String], file: String?, known: [Setting] = ServeSettings.known
    ) async throws(CommandFailure) -> ConfigReader {
        var providers: [any ConfigProvider] = [
            Self.texts("flags", flags),
            EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "apus"),
        ]
        if let file { providers.append(Self.texts("file", try await Self.texts(in: file, known: known))) }
        let fallbacks = Dictionary(known.map { ($0.name, $0.fallback) }) { first, _ in first }
        providers.append(Self.texts("defaults", fallbacks))
        return ConfigReader(providers: providers)
    }

    private static func texts(_ name: String, _ texts: [String: String]) -> InMemoryProvider {
        InMemoryProvider(
            name: name,
            values: Dictionary(
                texts.map { (AbsoluteConfigKey([$0.key]), ConfigValue(.string($0.value), isSecret: false)) }
            ) { first, _ in first }
        )
    }

    /// What the file says, as the texts that a flag would carry, so that both are held to the same rules.
    private static func texts(in file: String, known: [Setting]) async throws(CommandFailure) -> [String: String] {
        try Self.check(file, known: known)
        let reader: ConfigReader
        do {
            let path = ConfigReader(
                provider: InMemoryProvider(values: ["filePath": ConfigValue(.string(file), isSecret: false)]))
            reader = ConfigReader(provider: try await FileProvider<JSONSnapshot>(config: path))
        } catch {
            throw Self.refusal(file, "\(error)")
        }
        var texts: [String: String] = [:]
        for setting in known {
            let key = ConfigKey(setting.name)
            if let text = reader.string(forKey: key) {
                texts[setting.name] = text
            } else if let number = reader.int(forKey: key) {
                texts[setting.name] = String(number)
            } else if let flag = reader.bool(forKey: key) {
                texts[setting.name] = String(flag)
            }
        }
        return texts
    }

    /// Says in words what is wrong with the file; above all, a setting misspelt must not be a setting ignored.
    private static func check(_ file: String, known: [Setting]) throws(CommandFailure) {
        let object: Any
        do {
            object = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: file)))
        } catch let error as CocoaError where error.code == .propertyListReadCorrupt {
            throw Self.refusal(file, error.userInfo[NSDebugDescriptionErrorKey] as? String ?? "it is no JSON")
        } catch {
            throw Self.refusal(file, error.localizedDescription)
        }
        guard let settings = object as? [String: Any] else { throw Self.refusal(file, "it is no JSON object") }
        for name in settings.keys.sorted() where !known.contains(where: { $0.name == name }) {
            throw CommandFailure(
                .badData, code: "configuration_file", "\(file): there is no setting \"\(name)\"",
                next: "apus serve --help lists them; in the file they stand without the two hyphens")
        }
    }

    private static func refusal(_ file: String, _ why: String) -> CommandFailure {
        CommandFailure(
            .badData, code: "configuration_file", "\(file): \(why)",
            next: #"the file is one JSON object, as in {"data": "/var/lib/apus", "kafka": "127.0.0.1:9092"}"#
        )
    }
}
