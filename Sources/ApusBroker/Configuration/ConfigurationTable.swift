import ApusCore
import ApusLog

/// Every configuration value that holds on this broker, and where it comes from.
///
/// A broker's value: set on this broker in the store, else set for all brokers in the store, else what it was started
/// with, else the default. A topic's value: set on the topic, else the broker's. Pure; owner: the topic registry.
struct ConfigurationTable: Sendable {
    let brokerID: BrokerID
    /// From flags, environment and file.
    private let started: [String: String]
    /// What only the running broker knows: its id, its directory.
    private let facts: [String: String]
    private(set) var allBrokers: [String: String] = [:]
    private(set) var thisBroker: [String: String] = [:]
    /// The configuration of every topic that sets nothing itself.
    private(set) var topicDefaults: TopicConfiguration

    /// Throws when a value that the broker was started with is unknown or not allowed.
    init(
        brokerID: BrokerID, started: [String: String], facts: [String: String]
    ) throws(BrokerError) {
        for (name, value) in started.sorted(by: { $0.key < $1.key }) {
            guard let definition = Self.brokerDefinition(name) else {
                throw .invalidConfiguration("unknown configuration '\(name.limited)'")
            }
            try Self.check(name, value, definition)
        }
        self.brokerID = brokerID
        self.started = started
        self.facts = facts
        self.topicDefaults = TopicConfiguration(overrides: [:]) { started[$0.brokerName] ?? $0.definition.value }
        try self.checkBroker()
    }

    /// Takes what the store holds. Values that this version does not allow any more are left out, not obeyed.
    mutating func load(allBrokers: [String: String], thisBroker: [String: String]) {
        self.allBrokers = allBrokers.filter { Self.isAllowed($0.key, $0.value) }
        self.thisBroker = thisBroker.filter { Self.isAllowed($0.key, $0.value) }
        self.topicDefaults = self.resolve([:])
    }

    // MARK: Topics

    func configuration(of overrides: [String: String]) -> TopicConfiguration {
        overrides.isEmpty ? self.topicDefaults : self.resolve(overrides)
    }

    private func resolve(_ overrides: [String: String]) -> TopicConfiguration {
        TopicConfiguration(overrides: overrides) { self.value($0, over: overrides) }
    }

    /// The value that an option has for a topic with these values of its own.
    func value(_ option: TopicOption, over overrides: [String: String]) -> String {
        overrides[option.name] ?? self.broker(option.brokerName)?.value ?? option.definition.value
    }

    /// The overrides that a creator's wishes come to. A nil value asks for the default.
    func overrides(from wishes: [String: String?]) throws(BrokerError) -> [String: String] {
        var overrides: [String: String] = [:]
        for (name, value) in wishes.sorted(by: { $0.key < $1.key }) {
            guard let value else { continue }
            overrides[name] = try Self.allowedTopicValue(name, value)
        }
        try self.checkTopic(overrides)
        return overrides
    }

    /// A topic's overrides after an alteration.
    func altered(
        _ overrides: [String: String], by alteration: ConfigurationAlteration
    ) throws(BrokerError) -> [String: String] {
        switch alteration {
        case .replace(let wishes): return try self.overrides(from: wishes)
        case .change(let changes):
            var overrides = overrides
            for change in changes {
                guard let option = TopicOption(rawValue: change.name) else {
                    throw .invalidConfiguration("unknown topic configuration '\(change.name.limited)'")
                }
                let value = self.value(option, over: overrides)
                if let value = try Self.apply(change, to: value, option.definition) {
                    overrides[option.name] = try Self.allowedTopicValue(option.name, value)
                } else {
                    overrides[option.name] = nil
                }
            }
            try self.checkTopic(overrides)
            return overrides
        }
    }

    func describe(_ topic: Topic) -> [ConfigurationEntry] {
        TopicOption.allCases.map { option in
            var synonyms = self.synonyms(option.brokerName)
            if let value = topic.configuration.overrides[option.name] {
                synonyms.insert(ConfigurationSynonym(name: option.name, value: value, source: .topic), at: 0)
            }
            return Self.entry(option.name, option.definition, synonyms)
        }.sorted { $0.name < $1.name }
    }

    // MARK: Brokers

    /// An option in milliseconds, whose rule knows no "none".
    func duration(_ option: BrokerOption) -> Duration { .milliseconds(Int64(self.value(option)) ?? 0) }

    /// The value of one of the broker's own options.
    func value(_ option: BrokerOption) -> String {
        self.broker(option.rawValue)?.value ?? option.definition.value
    }

    /// What is set in the store for this broker, or for all, after an alteration.
    func altered(
        _ broker: BrokerID?, by alteration: ConfigurationAlteration
    ) throws(BrokerError) -> [String: String] {
        if let broker, broker != self.brokerID {
            throw .invalidRequest("this is broker \(self.brokerID), not \(broker)")
        }
        var values: [String: String] = [:]
        let changes: [ConfigurationChange]
        switch alteration {
        case .replace(let wishes):
            changes = wishes.sorted { $0.key < $1.key }.compactMap { name, value in
                value.map { .set(name: name, value: $0) }
            }
        case .change(let wishes):
            values = broker == nil ? self.allBrokers : self.thisBroker
            changes = wishes
        }
        for change in changes {
            guard let definition = Self.brokerDefinition(change.name) else {
                throw .invalidConfiguration("unknown broker configuration '\(change.name.limited)'")
            }
            guard !definition.isReadOnly else {
                throw .invalidConfiguration("'\(change.name)' can not be changed while the broker runs")
            }
            let old = values[change.name] ?? self.broker(change.name)?.value ?? definition.value
            let new = try Self.apply(change, to: old, definition)
            if let new { try Self.check(change.name, new, definition) }
            values[change.name] = new
        }
        var trial = self
        trial.load(
            allBrokers: broker == nil ? values : self.allBrokers, thisBroker: broker == nil ? self.thisBroker : values)
        try trial.checkBroker()
        return values
    }

    /// Whether somebody said what a broker's option is to be.
    func isSet(_ name: String) -> Bool { (self.broker(name)?.source ?? .default) != .default }

    /// `broker` nil: the values set for all brokers in the store, and no others.
    func describe(_ broker: BrokerID?) throws(BrokerError) -> [ConfigurationEntry] {
        guard let broker else {
            return self.allBrokers.keys.sorted().compactMap { name in
                Self.brokerDefinition(name).map {
                    Self.entry(name, $0, self.synonyms(name, from: .dynamicDefaultBroker))
                }
            }
        }
        guard broker == self.brokerID else { throw .invalidRequest("this is broker \(self.brokerID), not \(broker)") }
        let names = Set(TopicOption.allCases.map(\.brokerName) + BrokerOption.allCases.map(\.rawValue))
        return names.sorted().compactMap { name in
            Self.brokerDefinition(name).map { Self.entry(name, $0, self.synonyms(name)) }
        }
    }

    // MARK: Rules

    static func brokerDefinition(_ name: String) -> OptionDefinition? {
        TopicOption.byBrokerName[name]?.definition ?? BrokerOption(rawValue: name)?.definition
    }

    private static func isAllowed(_ name: String, _ value: String) -> Bool {
        self.brokerDefinition(name).map { $0.rule.refusal(of: value) == nil } ?? false
    }

    private static func allowedTopicValue(_ name: String, _ value: String) throws(BrokerError) -> String {
        guard let option = TopicOption(rawValue: name) else {
            throw .invalidConfiguration("unknown topic configuration '\(name.limited)'")
        }
        try self.check(name, value, option.definition)
        return value
    }

    private static func check(_ name: String, _ value: String, _ definition: OptionDefinition) throws(BrokerError) {
        if let refusal = definition.rule.refusal(of: value) {
            throw .invalidConfiguration("\(name) \(refusal)")
        }
    }

    /// The value after the change; nil: back to what holds without it.
    private static func apply(
        _ change: ConfigurationChange, to value: String, _ definition: OptionDefinition
    ) throws(BrokerError) -> String? {
        switch change {
        case .set(_, let value): return value
        case .delete: return nil
        case .append(let name, let more):
            guard definition.type == .list else { throw .invalidConfiguration("\(name) is not a list") }
            let parts = ConfigurationRule.parts(of: value)
            let added = ConfigurationRule.parts(of: more).filter { !parts.contains($0) }
            return (parts + added).joined(separator: ",")
        case .subtract(let name, let less):
            guard definition.type == .list else { throw .invalidConfiguration("\(name) is not a list") }
            let gone = ConfigurationRule.parts(of: less)
            return ConfigurationRule.parts(of: value).filter { !gone.contains($0) }.joined(separator: ",")
        }
    }

    private func broker(_ name: String) -> ConfigurationSynonym? { self.synonyms(name).first }

    /// Every value that is set for a broker's option, the one that holds first.
    private func synonyms(
        _ name: String, from strongest: ConfigurationSource = .dynamicBroker
    ) -> [ConfigurationSynonym] {
        var synonyms: [ConfigurationSynonym] = []
        func add(_ value: String?, _ source: ConfigurationSource) {
            guard let value, source.rawValue >= strongest.rawValue else { return }
            synonyms.append(ConfigurationSynonym(name: name, value: value, source: source))
        }
        add(self.thisBroker[name], .dynamicBroker)
        add(self.allBrokers[name], .dynamicDefaultBroker)
        add(self.facts[name] ?? self.started[name], .staticBroker)
        add(Self.brokerDefinition(name)?.value, .default)
        return synonyms
    }

    private static func entry(
        _ name: String, _ definition: OptionDefinition, _ synonyms: [ConfigurationSynonym]
    ) -> ConfigurationEntry {
        ConfigurationEntry(
            name: name, value: synonyms.first?.value, source: synonyms.first?.source ?? .default,
            isReadOnly: definition.isReadOnly, isSensitive: false, type: definition.type,
            documentation: definition.documentation, synonyms: synonyms
        )
    }
}

extension ConfigurationChange {
    var name: String {
        switch self {
        case .set(let name, _), .delete(let name), .append(let name, _), .subtract(let name, _): name
        }
    }
}
