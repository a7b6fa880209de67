"""What the static audit knows about libraries. One table per question."""

import re

__all__ = [
    "ACAUSAL",
    "BENIGN",
    "CROSS_VALIDATION",
    "ELEMENTWISE",
    "KEEPS",
    "LOADERS",
    "METRICS",
    "PREDICTS",
    "RANDOM_FOLDS",
    "RANDOM_NUMBERS",
    "SAME",
    "SAMPLERS",
    "SCALED",
    "SEARCHES",
    "STATISTICS",
    "TIME_COLUMNS",
    "TIME_FILES",
    "TIME_METHODS",
    "TRAIN_NAMES",
    "TRANSFORMERS",
    "UNORDERED_FOLDS",
    "WINDOWS",
]

# data in order of time
LOADERS = {
    "load_sp500", "load_nasdaq", "load_us_stocks", "make_market", "read_bars", "get_data_yahoo",
    "DataReader", "fetch_ohlcv", "get_historical_klines", "get_price", "history", "make_bars",
    "date_range", "bdate_range", "DatetimeIndex",
}
TIME_METHODS = {
    "shift", "rolling", "pct_change", "ewm", "expanding", "resample", "asfreq", "tz_localize",
    "tz_convert", "cummax", "to_period", "to_timestamp", "between_time", "at_time",
}
TIME_COLUMNS = {
    "date", "datetime", "timestamp", "close", "adj close", "adj_close", "ohlc", "open_time",
    "close_time", "trade_date",
}
TIME_FILES = re.compile(
    r"(^|[^a-z])(stocks?|ohlcv?|bars?|candles?|klines?|btc|btcusdt?|crypto|spy|sp500|spx|nasdaq"
    r"|ticks?|quotes?|daily|hourly|minutes?"
    r"|intraday|market|equit(y|ies)|fx|eurusd|futures|aapl)([^a-z]|$)|^prices?\.|^prices?$"
)
TRAIN_NAMES = re.compile(
    r"(^|_)(x|y|df|data|bars)?_?(train|trn|tr|test|tst|te|val|valid|holdout|oos|insample"
    r"|outsample)\d*(_|$)",
    re.I,
)

# what learns from the rows it is given
TRANSFORMERS = {
    "StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "QuantileTransformer",
    "PowerTransformer", "PCA", "KernelPCA", "IncrementalPCA", "SparsePCA", "FastICA",
    "TruncatedSVD", "NMF", "FactorAnalysis", "SimpleImputer", "KNNImputer", "IterativeImputer",
    "SelectKBest", "SelectPercentile", "SelectFromModel", "SelectFdr", "SelectFpr", "SelectFwe",
    "VarianceThreshold", "RFE", "RFECV", "SequentialFeatureSelector", "GenericUnivariateSelect",
    "TargetEncoder", "KBinsDiscretizer", "MeanEncoder", "WOEEncoder", "CatBoostEncoder",
    "LeaveOneOutEncoder", "JamesSteinEncoder", "UMAP", "PLSRegression",
    "LinearDiscriminantAnalysis", "ColumnTransformer", "FeatureUnion", "SplineTransformer",
    "Nystroem", "RobustStandardScaler", "Winsorizer",
}
BENIGN = {
    "LabelEncoder", "OneHotEncoder", "OrdinalEncoder", "LabelBinarizer", "MultiLabelBinarizer",
    "Normalizer", "FunctionTransformer", "PolynomialFeatures", "BarFeatures", "SlidingWindow",
    "RegimeDetector", "AdaptiveLabeler", "TripleBarrierLabeler", "CountVectorizer",
    "HashingVectorizer", "Binarizer", "NewsAligner", "PretrainedNewsEncoder",
}
SCALED = {
    "zscore",
    "scale",
    "minmax_scale",
    "robust_scale",
    "maxabs_scale",
    "quantile_transform",
    "power_transform",
    "qcut",
}
SAMPLERS = re.compile(
    r"(SMOTE\w*|ADASYN|\w*Over[Ss]ampler|\w*Under[Ss]ampler|TomekLinks|NearMiss"
    r"|EditedNearestNeighbours|WindowSMOTE)$"
)

# folds
RANDOM_FOLDS = {
    "ShuffleSplit",
    "StratifiedShuffleSplit",
    "RepeatedKFold",
    "RepeatedStratifiedKFold",
}
UNORDERED_FOLDS = {"KFold", "StratifiedKFold", "LeaveOneOut", "LeavePOut"}
CROSS_VALIDATION = {
    "cross_val_score", "cross_validate", "cross_val_predict", "learning_curve", "validation_curve",
    "permutation_test_score",
}
SEARCHES = {
    "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV",
    "OptunaSearchCV", "BayesSearchCV", "TuneSearchCV", "EvolutionaryFS",
}
METRICS = {
    "accuracy_score", "balanced_accuracy_score", "f1_score", "precision_score", "recall_score",
    "roc_auc_score", "log_loss", "mean_squared_error", "mean_absolute_error", "r2_score",
    "classification_report", "confusion_matrix", "brier_score_loss", "matthews_corrcoef",
    "average_precision_score", "root_mean_squared_error", "cohen_kappa_score",
}
PREDICTS = {"predict", "predict_proba", "predict_log_proba", "decision_function"}

# what values do
WINDOWS = {"rolling", "expanding", "ewm"}
STATISTICS = {
    "mean",
    "std",
    "var",
    "min",
    "max",
    "median",
    "quantile",
    "nanmean",
    "nanstd",
    "nanmax",
    "nanmin",
    "percentile",
    "average",
    "ptp",
    "mode",
}
ACAUSAL = {
    "savgol_filter", "filtfilt", "sosfiltfilt", "gaussian_filter1d", "gaussian_filter",
    "uniform_filter1d", "median_filter", "medfilt", "gradient", "argrelextrema", "argrelmax",
    "argrelmin", "find_peaks", "seasonal_decompose", "STL", "lowess", "rfft", "fft", "hpfilter",
    "wavedec", "detrend", "UnivariateSpline", "hilbert",
}
ELEMENTWISE = {
    "astype", "where", "mask", "map", "sign", "abs", "log", "log1p", "exp", "clip", "round",
    "to_numpy", "values", "copy", "array", "asarray", "ravel", "Series", "fillna", "isin", "gt",
    "lt", "ge", "le", "eq", "ne", "squeeze", "select", "replace", "int64", "cat",
}
KEEPS = {
    "copy", "dropna", "astype", "reset_index", "sort_index", "sort_values", "fillna", "ffill",
    "pad", "replace", "set_index", "to_numpy", "head", "tail", "query", "infer_objects",
    "convert_dtypes", "reindex", "to_frame", "set_axis", "rename_axis", "drop_duplicates", "clip",
    "round", "abs", "add", "sub", "mul", "div", "truediv", "pow", "where", "mask", "loc", "iloc",
    "values", "truncate", "swaplevel", "persist", "compute", "to_pandas", "select_dtypes", "asfreq",
    "tz_localize", "tz_convert", "sort", "float", "double", "numpy", "squeeze", "stack",
}
RANDOM_NUMBERS = {
    "permutation", "rand", "random", "random_sample", "choice", "randn", "uniform", "randint",
    "normal",
}
SAME = {
    "list", "tuple", "sorted", "set", "reversed", "copy", "deepcopy", "from_pandas", "clone",
    "frozenset",
}
