package import ApusCore

/// Whose configuration is described or altered.
package enum ConfigurationResource: Hashable, Sendable {
    case topic(String)
    /// This broker, or (nil) the defaults of every broker in the cluster.
    case broker(BrokerID?)
}

/// Where a value comes from; the raw values are Kafka's `ConfigSource`.
package enum ConfigurationSource: Int8, Hashable, Sendable {
    case topic = 1
    case dynamicBroker = 2
    case dynamicDefaultBroker = 3
    case staticBroker = 4
    case `default` = 5
}

/// A value's type; the raw values are Kafka's `ConfigType`.
package enum ConfigurationType: Int8, Hashable, Sendable {
    case boolean = 1
    case string = 2
    case int = 3
    case short = 4
    case long = 5
    case double = 6
    case list = 7
}

/// A value that would hold if the ones before it in the list were not set.
package struct ConfigurationSynonym: Hashable, Sendable {
    package var name: String
    package var value: String?
    package var source: ConfigurationSource

    package init(name: String, value: String?, source: ConfigurationSource) {
        self.name = name
        self.value = value
        self.source = source
    }
}

/// One configuration value with all that DescribeConfigs tells of it.
package struct ConfigurationEntry: Hashable, Sendable {
    package var name: String
    package var value: String?
    package var source: ConfigurationSource
    package var isReadOnly: Bool
    package var isSensitive: Bool
    package var type: ConfigurationType
    package var documentation: String
    package var synonyms: [ConfigurationSynonym]

    package var isDefault: Bool { self.source == .default }

    package init(
        name: String, value: String?, source: ConfigurationSource, isReadOnly: Bool, isSensitive: Bool,
        type: ConfigurationType, documentation: String, synonyms: [ConfigurationSynonym]
    ) {
        self.name = name
        self.value = value
        self.source = source
        self.isReadOnly = isReadOnly
        self.isSensitive = isSensitive
        self.type = type
        self.documentation = documentation
        self.synonyms = synonyms
    }
}

/// What is asked of one resource's configuration.
package enum ConfigurationAlteration: Hashable, Sendable {
    /// The given values and no others (Kafka's AlterConfigs): what is not named goes back to its default.
    case replace([String: String?])
    /// One after the other (Kafka's IncrementalAlterConfigs, KIP-339).
    case change([ConfigurationChange])
}

package enum ConfigurationChange: Hashable, Sendable {
    case set(name: String, value: String)
    case delete(name: String)
    /// Adds to a value of type list.
    case append(name: String, value: String)
    /// Takes from a value of type list.
    case subtract(name: String, value: String)
}
