//! One declaration for each input: name, help, default, parser and field in one place.

use super::{Inputs, Scope};
use crate::{BadInput, Input};

/// A set of declared inputs, as [`inputs!`](crate::inputs!) makes it.
pub trait InputSet: Sized {
    /// Add the declarations to `inputs`, under `topic` where the set does not say its own.
    fn declare(topic: &'static str, inputs: &mut Vec<Input>);

    /// The typed values.
    ///
    /// # Errors
    /// [`BadInput`] for the first input, in the order of the declaration, whose value is invalid.
    fn read(inputs: &Inputs, scope: &Scope<'_>) -> Result<Self, BadInput>;

    /// The declarations, for [`Action::inputs`](crate::Action::inputs).
    fn declared() -> Vec<Input> {
        let mut inputs = Vec::new();
        Self::declare("", &mut inputs);
        inputs
    }
}

/// The name of an input from the name of its field: `_` becomes `-`. `N` is the length of `field`.
pub const fn kebab_case<const N: usize>(field: &str) -> [u8; N] {
    let bytes = field.as_bytes();
    let mut name = [0; N];
    let mut i = 0;
    while i < N {
        name[i] = if bytes[i] == b'_' { b'-' } else { bytes[i] };
        i += 1;
    }
    name
}

/// Declare the inputs of an action by topic, or a group that several actions share.
///
/// A field is an input: its name with `-` for `_`, its doc comment as the help, its type as the parser
/// ([`Value`](crate::Value)) and as what is required (no `Option`, no list, no default), its value as the default.
/// `Inputs::field` is the input's name, for messages.
///
/// ```
/// use actions_toolkit::{Timeout, inputs};
///
/// inputs! {
///     /// Who signs in to a registry: a group.
///     pub struct LoginInputs {
///         /// User for the image's registry.
///         registry_username: Option<String>,
///     }
/// }
///
/// inputs! {
///     /// What a step was given.
///     pub struct Inputs {
///         "Common" {
///             /// Image to scan, `name:tag`.
///             image: String,
///             /// Timeout of the scan.
///             timeout: Timeout = "10m",
///         }
///         "Registry" {
///             ..login: LoginInputs,
///         }
///     }
/// }
///
/// assert_eq!(LoginInputs::registry_username, "registry-username");
/// ```
#[macro_export]
macro_rules! inputs {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $topic:literal {
                    $( $(#[doc = $help:literal])+ $field:ident : $ty:ty $(= $default:expr)?, )*
                    $( ..$group:ident : $set:ty, )*
                }
            )+
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $(
                $( $(#[doc = $help])+ $vis $field: $ty, )*
                $( #[doc = concat!("Of the topic ", $topic, ".")] $vis $group: $set, )*
            )+
        }

        $crate::inputs!(@names $vis $name $( $($field)* )+);

        impl $crate::InputSet for $name {
            fn declare(_: &'static str, inputs: &mut Vec<$crate::Input>) {
                $(
                    $( inputs.push($crate::inputs!(@input $topic, $field: $ty, [$($help)+] $(= $default)?)); )*
                    $( <$set as $crate::InputSet>::declare($topic, inputs); )*
                )+
            }

            fn read(inputs: &$crate::Inputs, scope: &$crate::Scope<'_>) -> Result<Self, $crate::BadInput> {
                Ok(Self {
                    $(
                        $( $field: inputs.value(Self::$field, scope)?, )*
                        $( $group: <$set as $crate::InputSet>::read(inputs, scope)?, )*
                    )+
                })
            }
        }
    };
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $help:literal])+ $field:ident : $ty:ty $(= $default:expr)?, )*
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $( $(#[doc = $help])+ $vis $field: $ty, )*
        }

        $crate::inputs!(@names $vis $name $($field)*);

        impl $crate::InputSet for $name {
            fn declare(topic: &'static str, inputs: &mut Vec<$crate::Input>) {
                $( inputs.push($crate::inputs!(@input topic, $field: $ty, [$($help)+] $(= $default)?)); )*
            }

            fn read(inputs: &$crate::Inputs, scope: &$crate::Scope<'_>) -> Result<Self, $crate::BadInput> {
                Ok(Self { $( $field: inputs.value(Self::$field, scope)?, )* })
            }
        }
    };
    (@names $vis:vis $name:ident $($field:ident)*) => {
        #[allow(non_upper_case_globals, dead_code, reason = "a name that a message needs is spelled as its field")]
        impl $name {
            $(
                #[doc = concat!("The name of the input `", stringify!($field), "`.")]
                $vis const $field: &'static str = {
                    const BYTES: [u8; stringify!($field).len()] = $crate::kebab_case(stringify!($field));
                    match ::std::str::from_utf8(&BYTES) {
                        Ok(name) => name,
                        Err(_) => stringify!($field),
                    }
                };
            )*
        }
    };
    (@input $topic:expr, $field:ident : $ty:ty, [$($help:literal)+] $(= $default:expr)?) => {{
        let default = None::<&'static str>$(.or(Some($default)))?;
        $crate::Input {
            name: Self::$field,
            help: concat!($($help),+).trim_ascii_start(),
            topic: $topic,
            default,
            required: default.is_none() && <$ty as $crate::Value>::absent().is_none(),
            secret: <$ty as $crate::Value>::SECRET,
            workflow_default: <$ty as $crate::Value>::WORKFLOW_DEFAULT,
            choices: <$ty as $crate::Value>::CHOICES,
        }
    }};
}

/// An enumeration as the value of an input: each variant with its text. `Display` writes the text.
///
/// ```
/// actions_toolkit::choice! {
///     /// How the API server is reached.
///     #[derive(PartialEq)]
///     pub enum Access {
///         /// By the runner.
///         Direct = "direct",
///         /// By commands that Azure runs in the cluster.
///         RunCommand = "run-command",
///     }
/// }
///
/// assert_eq!("direct".parse(), Ok(Access::Direct));
/// assert_eq!(Access::RunCommand.to_string(), "run-command");
/// ```
#[macro_export]
macro_rules! choice {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $text:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        $vis enum $name {
            $( $(#[$variant_meta])* $variant, )+
        }

        impl ::std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $( $text => Ok(Self::$variant), )+
                    _ => Err($crate::invalid_choice(text, <Self as $crate::Value>::CHOICES)),
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(match self { $( Self::$variant => $text, )+ })
            }
        }

        impl $crate::Value for $name {
            const CHOICES: &'static [&'static str] = &[$($text),+];

            fn parse(text: &str, _: &$crate::Scope<'_>) -> Result<Self, String> {
                text.parse()
            }
        }
    };
}
