/// One value of a topic's or broker's configuration.
public struct ConfigurationEntry: Hashable, Sendable {
    /// Where a value comes from (the protocol's `ConfigSource`).
    public enum Source: Int8, Hashable, Sendable {
        case unknown = 0
        case topic = 1
        case dynamicBroker = 2
        case dynamicDefaultBroker = 3
        case staticBroker = 4
        case `default` = 5
        case dynamicBrokerLogger = 6
        case clientMetrics = 7
        case group = 8
    }

    /// The type of a value (the protocol's `ConfigType`).
    public enum Kind: Int8, Hashable, Sendable {
        case unknown = 0
        case boolean = 1
        case string = 2
        case int = 3
        case short = 4
        case long = 5
        case double = 6
        case list = 7
        case `class` = 8
        case password = 9
    }

    public var name: String
    /// nil when it is secret or has none.
    public var value: String?
    public var source: Source
    public var isReadOnly: Bool
    public var isSensitive: Bool
    public var kind: Kind
    public var documentation: String?

    public var isDefault: Bool { self.source == .default }
}

/// One change to a configuration; what is not named stays.
public enum ConfigurationChange: Hashable, Sendable {
    case set(String, String)
    /// Back to the default.
    case remove(String)
    /// Adds to a list.
    case append(String, String)
    /// Takes out of a list.
    case subtract(String, String)
}
