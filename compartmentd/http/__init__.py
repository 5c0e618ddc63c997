"""Resources over HTTP beside the data plane: metrics, back-channel logout, the admin interface and its pages."""
